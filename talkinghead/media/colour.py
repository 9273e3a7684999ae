"""Convert decoded frames to RGB: square pixels, the right colour matrix, wide gamut and HDR to BT.709.

HDR is rendered for a display of 1,000 cd/m² (BT.2100) and mapped to a white of 203 cd/m² (BT.2408) with the tone
curve of BT.2390.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation
from numpy.typing import NDArray

from talkinghead.media.container import MAX_FRAME_PIXELS
from talkinghead.media.image import Picture

Values = NDArray[np.float32]

_PEAK, _WHITE = 1000.0, 203.0
"""Peak of HDR and white of SDR, cd/m²."""

_GAMMA = 2.4
"""Gamma of a BT.709 display (BT.1886)."""

_STEPS = 4096
"""Number of entries of the tables below."""

_LUMA_2020 = np.array([0.2627, 0.6780, 0.0593], np.float32)
_2020_TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)  # BT.2087

_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
"""FFmpeg's matrices by their numbers in ISO/IEC 23091-2."""

_NEARLY_SQUARE, _MOST_STRETCHED = Fraction(1, 100), 5


def shown_size(frame: av.VideoFrame, aspect: Fraction | None) -> tuple[int, int]:
    """Return the (width, height) of a frame in square pixels, not smaller than encoded.

    Args:
        frame: The decoded frame.
        aspect: Width of its pixels divided by their height; None or implausible values count as square.
    """
    width, height = frame.width, frame.height
    if not aspect or abs(aspect - 1) < _NEARLY_SQUARE or not Fraction(1, _MOST_STRETCHED) <= aspect <= _MOST_STRETCHED:
        return width, height
    wide, high = (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))
    return (wide, high) if wide * high <= MAX_FRAME_PIXELS else (width, height)


def to_picture(frame: av.VideoFrame, size: tuple[int, int]) -> Picture:
    """Convert a frame to BT.709 RGB, shape (height, width, 3).

    Args:
        frame: The decoded frame.
        size: (width, height) of the picture.
    """
    wide = frame.color_primaries == ColorPrimaries.BT2020
    hdr = frame.color_trc in {ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67}
    converted = frame.reformat(
        *size,
        format="rgb48le" if wide or hdr else "rgb24",
        src_colorspace=color_matrix(frame),
        dst_color_range=ColorRange.JPEG,
        interpolation=Interpolation.BICUBIC if size != (frame.width, frame.height) else None,
    )
    values = converted.to_ndarray()
    return narrowed(np.asarray(values, np.uint16), frame.color_trc) if wide or hdr else np.asarray(values, np.uint8)


def narrowed(codes: NDArray[np.uint16], trc: int) -> Picture:
    """Convert BT.2020 to BT.709.

    Args:
        codes: RGB, shape (H, W, 3), 65535 for 1.
        trc: FFmpeg's number of the transfer function: PQ, HLG, or any other for SDR.
    """
    light = _light_table(trc)[codes >> 4]
    if trc == ColorTrc.ARIB_STD_B67:
        light *= ((light @ _LUMA_2020) ** np.float32(0.2))[..., None]  # a display's own gamma, 1.2
    if trc in {ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67}:
        brightest = np.maximum(np.maximum(light[..., 0], light[..., 1]), light[..., 2])
        light *= _gain_table()[_index(brightest ** np.float32(0.25))][..., None]
    shown = (light @ _2020_TO_709.T).clip(0, 1)
    return _code_table()[_index(np.sqrt(shown))]


def color_matrix(frame: av.VideoFrame) -> Colorspace | None:
    """Return the frame's colour matrix; if the file does not state it, it depends on the size."""
    if frame.format.is_rgb or frame.colorspace == 8:  # YCgCo has no variants
        return None
    is_hd = frame.width >= 1280 or frame.height > 576
    return _MATRICES.get(frame.colorspace, Colorspace.ITU709 if is_hd else Colorspace.ITU601)


def _index(share: Values) -> NDArray[np.uint16]:
    return (share.clip(0, 1) * (_STEPS - 1) + np.float32(0.5)).astype(np.uint16)


@cache
def _light_table(trc: int) -> Values:
    """Return the light of coded values: for HDR relative to the peak (HLG: scene light), for SDR to white."""
    code = np.arange(_STEPS) / (_STEPS - 1)
    if trc == ColorTrc.SMPTE2084:
        light = _from_pq(code) / _PEAK
    elif trc == ColorTrc.ARIB_STD_B67:
        light = np.where(code <= 0.5, code**2 / 3, (np.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    else:
        light = code**_GAMMA
    return light.astype(np.float32)


@cache
def _gain_table() -> Values:
    """Return the factors of the tone curve, by the fourth root of the brightest channel's share of the peak."""
    share = np.linspace(0, 1, _STEPS) ** 4
    share[0] = share[1]
    top, end = _to_pq(_PEAK), _to_pq(_WHITE) / _to_pq(_PEAK)
    knee = 1.5 * end - 0.5
    level = _to_pq(share * _PEAK) / top
    t = ((level - knee) / (1 - knee)).clip(0, 1)
    curve = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * end
    mapped = _from_pq(np.where(level < knee, level, curve) * top)
    return (mapped / _WHITE / share).astype(np.float32)


@cache
def _code_table() -> Picture:
    """Return eight-bit codes by the square root of light."""
    return np.round(255 * np.linspace(0, 1, _STEPS) ** (2 / _GAMMA)).astype(np.uint8)


def _to_pq(light: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the PQ code of light in cd/m² (SMPTE ST 2084)."""
    power = (np.asarray(light) / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def _from_pq(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the light of a PQ code, cd/m²."""
    power = code ** (1 / 78.84375)
    return 10_000 * (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)
