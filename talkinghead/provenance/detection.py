"""Find the watermark in pictures and videos, also after they were coded again, resized, cropped or photographed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from talkinghead.provenance.error_correction import CODED_BITS, decode
from talkinghead.provenance.pattern import SHORTER_SIDE, TILE, Plane, waves

IN_PLACE = 4.6
"""Score from which a watermark is there for sure where it was laid; docs/provenance.md derives the limits."""
SURE = 7.5
"""Score from which it is there for sure at the best of many scales and shifts."""
LIKELY = 5.3
"""Such a score from which it is there if the payload's checksum is right as well."""

_WORKING_SIDE = 320
"""Shorter side that pictures are brought to."""
_LONGEST = 4
"""Longest part of a long picture that is searched, relative to its shorter side."""
_WHOLE = _WORKING_SIDE / SHORTER_SIDE
"""Scale of whole pictures: pixels for a canonical one."""
_SMALLEST, _LARGEST = 0.5, 1.4
"""Range of scales that are searched, relative to a whole picture: margins make it smaller, cropping larger."""
_STEP, _FINE_STEP = 0.008, 0.002
"""Relative distance of scales: a quarter of the fastest wave at the edges."""
_TRIED = 4
"""Number of scales whose surroundings are searched more finely."""
_FLOOR = 0.7
"""Relative amplitude of waves up to which they count by their amplitude, not by their phase alone."""

Spectrum = NDArray[Any]


@dataclass(frozen=True)
class Found:
    """A watermark that was found.

    Attributes:
        payload: Its 64 bits in hexadecimal digits, or None if they cannot be read.
        score: Standard deviations by which the pattern stands out of the picture.
        in_place: Whether it was looked for only where it is in whole pictures, neither cropped nor with margins.
    """

    payload: str | None
    score: float
    in_place: bool = False


def find_watermark(pictures: Iterable[Plane]) -> Found | None:
    """Search for the watermark.

    Args:
        pictures: The luma of a picture, or of frames of one video, shape (H, W), of one size; they are pooled.

    Returns:
        What was found, or None.
    """
    found = search(pictures)
    return found if is_found(found) else None


def is_found(found: Found) -> bool:
    """Return whether what stands out is a watermark."""
    if found.in_place:
        return found.score >= IN_PLACE
    return found.score >= SURE or (found.score >= LIKELY and found.payload is not None)


def search(pictures: Iterable[Plane]) -> Found:
    """Return what stands out most, without judging whether it is a watermark; 0 for no pictures at all.

    What is found in whole pictures is not searched for: one place needs a lower score than many.
    """
    pooled = pool(pictures)
    if pooled is None:
        return Found(None, 0.0)
    found = look_in_place(pooled)
    return found if is_found(found) else search_everywhere(pooled)


def look_in_place(pooled: Plane) -> Found:
    """Return how far the pattern stands out where it is in whole pictures."""
    spectrum = _spectrum(pooled, _WHOLE)
    score = float(_match(spectrum)[0, 0])
    return Found(_read(spectrum, (0, 0)), score, in_place=True)


def search_everywhere(pooled: Plane) -> Found:
    """Return what stands out most of all scales and shifts."""
    count = int(np.log(_LARGEST / _SMALLEST) / _STEP) + 1
    coarse = [_WHOLE * _SMALLEST * np.exp(_STEP * n) for n in range(count)]
    scored = sorted(((_score(_spectrum(pooled, scale))[0], scale) for scale in coarse), reverse=True)
    around = np.exp(_FINE_STEP * np.arange(-3, 4))
    fine = {scale * step for _, scale in scored[:_TRIED] for step in around}
    best, payload = 0.0, None
    for scale in fine:
        spectrum = _spectrum(pooled, scale)
        score, shift = _score(spectrum)
        if score > best:
            best, payload = score, _read(spectrum, shift)
    return Found(payload, best)


def pool(pictures: Iterable[Plane]) -> Plane | None:
    """Return the sum of pictures from which most of what they show is removed."""
    total: Plane | None = None
    for picture in pictures:
        longest = _LONGEST * min(picture.shape)
        seen = picture[:longest, :longest].astype(np.float32)
        ratio = _WORKING_SIDE / min(seen.shape)
        size = (round(seen.shape[1] * ratio), round(seen.shape[0] * ratio))
        flat = _flatten(cv2.resize(seen, size, interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR))
        total = flat if total is None else total + flat
    return total


def _flatten(picture: Plane) -> Plane:
    """Remove what a picture shows, and give edges no more weight than skin."""
    detail = picture - cv2.medianBlur(picture, 5)  # a median keeps edges, so they are not left over
    contrast = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), 3.0))
    return np.clip(detail / (contrast + 0.5), -1, 1)


def _spectrum(pooled: Plane, scale: float) -> Spectrum:
    """Return the Fourier transform of all tiles together, each band of waves brought to an amplitude of about 1.

    Args:
        pooled: The picture.
        scale: Pixels of it for a canonical one.
    """
    height, width = (int(side / scale) for side in pooled.shape)
    to_picture = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    padded = (-(-width // TILE) * TILE, -(-height // TILE) * TILE)
    canonical = cv2.warpAffine(pooled, to_picture, padded, flags=flags)
    tiles = canonical.reshape(padded[1] // TILE, TILE, padded[0] // TILE, TILE).sum((0, 2))
    spectrum = np.fft.fft2(tiles)
    band, power = waves().band, np.abs(spectrum) ** 2
    total, count = np.bincount(band.ravel(), power.ravel()), np.bincount(band.ravel())
    amplitude = np.sqrt(total / np.maximum(count, 1) + 1e-12)
    even = np.where(band > 0, spectrum / amplitude[band], 0)
    return even / np.maximum(np.abs(even), _FLOOR)


def _score(spectrum: Spectrum) -> tuple[float, tuple[int, int]]:
    """Return how far the known waves stand out, and the shift (down, right) at which they do."""
    match = _match(spectrum)
    down, right = np.unravel_index(int(match.argmax()), match.shape)
    return float(match[down, right]), (int(down), int(right))


def _match(spectrum: Spectrum) -> Spectrum:
    """Return how far the known waves stand out at every shift."""
    given = waves()
    places = tuple(given.known.T)
    product = np.zeros_like(spectrum)
    product[places] = spectrum[places] * given.phases.conj()
    match = np.fft.ifft2(product).real * spectrum.size
    spread = np.sqrt(np.sum(np.abs(product) ** 2) / 2) + 1e-12
    return match / spread


def _read(spectrum: Spectrum, shift: tuple[int, int]) -> str | None:
    """Decode the payload of a pattern whose shift is known, in hexadecimal digits."""
    given = waves()
    turned = given.coded @ np.array(shift) * (2j * np.pi / TILE)
    values = spectrum[tuple(given.coded.T)] * np.exp(turned)
    soft = np.bincount(given.bits, np.stack([values.real, values.imag], 1).ravel(), CODED_BITS)
    payload = decode(soft)
    return None if payload is None else f"{payload:016x}"
