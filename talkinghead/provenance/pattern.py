"""The pattern of the watermark: a tile of waves, some of them known, the others carrying the payload.

The waves have 12 to 48 periods on the shorter side of a picture. Slower ones drown in what pictures show, faster ones
are lost to video coding. The tile is given in canonical pixels, of which the shorter side of a picture has 256 whatever
its size, so that the pattern keeps its place in the picture when that is resized.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from talkinghead.provenance.error_correction import CODED_BITS, encode

TILE = 128
"""Side of the tile in canonical pixels."""
SHORTER_SIDE = 256
"""Shorter side of a picture in canonical pixels."""

_SLOWEST, _FASTEST = 12, 48
"""Periods of the waves on the shorter side of a picture."""
_KNOWN = 0.3
"""Share of the waves that carry no payload and are searched for."""
_SEED = 20_261_126

Plane = NDArray[Any]
"""One number for each pixel, uint8 where it is luma, else float32."""


@dataclass(frozen=True)
class Waves:
    """The waves of the tile, as indices of its Fourier transform.

    Attributes:
        known: Waves that are searched for, shape (K, 2).
        phases: Their phases, shape (K,), as unit complex numbers.
        coded: Waves of the payload, shape (N, 2), each of which carries two bits.
        bits: Which bit of the code word each carries, shape (2 N,).
        band: Periods on the shorter side, rounded, of every index of the transform, shape (TILE, TILE); 0 outside.
    """

    known: NDArray[np.int64]
    phases: NDArray[np.complex128]
    coded: NDArray[np.int64]
    bits: NDArray[np.int64]
    band: NDArray[np.int64]


@cache
def waves() -> Waves:
    """Return the waves, which are the same in every file."""
    periods = np.fft.fftfreq(TILE, 1 / TILE)
    down, right = np.meshgrid(periods, periods, indexing="ij")
    radius = np.hypot(down, right) * SHORTER_SIDE / TILE
    inside = (radius >= _SLOWEST) & (radius < _FASTEST)
    half = (down > 0) | ((down == 0) & (right > 0))  # the other half are the same waves
    rng = np.random.Generator(np.random.PCG64(_SEED))
    places = rng.permutation(np.argwhere(inside & half))
    known, coded = np.split(places, [round(_KNOWN * len(places))])
    phases = np.exp(2j * np.pi * rng.random(len(known)))
    bits = rng.permutation(np.arange(2 * len(coded)) % CODED_BITS)
    return Waves(known, phases, coded, bits, np.where(inside, radius, 0).astype(np.int64))


def tile(payload: int) -> Plane:
    """Return the tile of a payload, shape (TILE, TILE), with a standard deviation of 1."""
    given, values = waves(), encode(payload)[waves().bits].reshape(-1, 2)
    spectrum = np.zeros((TILE, TILE), np.complex128)
    spectrum[tuple(given.known.T)] = given.phases
    spectrum[tuple(given.coded.T)] = (values[:, 0] + 1j * values[:, 1]) / np.sqrt(2)
    pattern = np.fft.ifft2(spectrum).real
    return (pattern / pattern.std()).astype(np.float32)


def spread(pattern: Plane, size: tuple[int, int]) -> Plane:
    """Cover a picture with a tile.

    Args:
        pattern: The tile.
        size: (height, width) of the picture.
    """
    height, width = size
    step = SHORTER_SIDE / min(size)
    tiled = np.tile(pattern, (int(height * step) // TILE + 2, int(width * step) // TILE + 2))
    to_canonical = np.array([[step, 0, (step - 1) / 2], [0, step, (step - 1) / 2]], np.float32)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(tiled, to_canonical, (width, height), flags=flags, borderMode=cv2.BORDER_WRAP)
