"""Lay an imperceptible watermark on pictures that are written: 64 bits, spread over the whole picture.

It is one fixed picture of small numbers that is added to the luma of every frame. Where nothing moves it is added once.
"""

from __future__ import annotations

import cv2
import numpy as np

from talkinghead.media.image import Picture
from talkinghead.provenance.marks import Marks
from talkinghead.provenance.pattern import SHORTER_SIDE, Plane, spread, tile

_FLAT, _TEXTURED = 0.45, 2.5
"""Root mean square of what is added in flat parts and in the strongest texture, in levels of 255."""
_UNSEEN, _HIDES = 0.3, 3.0
"""Contrast of texture from which more is hidden, and levels that each one above it hides."""
_FINE = 1.0
"""Texture finer than this counts, in canonical pixels: blurred shapes and shades hide nothing."""
_NEARBY = 5
"""Side of the square, in canonical pixels, whose lowest contrast counts."""
_WHOLE_STRENGTH = 1.9
"""Highest root mean square over a whole picture: a PSNR of 42.5 dB."""

LUMA_SHARE = 219 / 255
"""Levels of luma in video of limited range for one of RGB."""

Box = tuple[slice, slice]
_WHOLE: Box = (slice(None), slice(None))


class Watermark:
    """The watermark of one video or picture; the first picture decides where it is strong."""

    def __init__(self, payload: int, share: float = 1.0) -> None:
        """Choose what it says.

        Args:
            payload: 64 bits.
            share: Levels of the planes that it is laid on for one of RGB.
        """
        self._payload, self._share = payload, share
        self._above: Plane | None = None
        self._below: Plane | None = None

    def lay(self, plane: Plane, box: Box = _WHOLE) -> Plane:
        """Return a part of a luma plane with its part of the watermark.

        Args:
            plane: The part, shape (h, w); of the first call it is the whole plane.
            box: Its rows and columns in the whole plane.
        """
        if self._above is None or self._below is None:
            self._above, self._below = _halves(plane, self._payload, self._share)
        return cv2.subtract(cv2.add(plane, self._above[box]), self._below[box])

    def lay_on_picture(self, picture: Picture) -> Picture:
        """Return a picture, RGB or RGBA, with the watermark; it changes luma and not colour."""
        colours = picture[..., :3]
        if self._above is None or self._below is None:
            gray = cv2.cvtColor(np.ascontiguousarray(colours), cv2.COLOR_RGB2GRAY)
            self._above, self._below = _halves(gray, self._payload, self._share)
        above, below = (cv2.merge([half] * 3) for half in (self._above, self._below))
        marked: Picture = cv2.subtract(cv2.add(colours, above), below)  # type: ignore[assignment]
        return marked if picture.shape[2] == 3 else np.concatenate([marked, picture[..., 3:]], 2)


def open_watermark(marks: Marks | None, share: float = 1.0) -> Watermark | None:
    """Return the watermark of a file's pictures, see `Watermark`; None if there is to be none."""
    return Watermark(marks.payload, share) if marks and marks.options.watermark else None


def _halves(gray: Plane, payload: int, share: float) -> tuple[Plane, Plane]:
    """Return what is added to a plane and what is subtracted from it: 8-bit numbers are fastest without signs."""
    height, width = gray.shape
    added = spread(tile(payload), (height, width)) * _strength(gray)
    added *= share * min(1, _WHOLE_STRENGTH / np.sqrt(np.mean(np.square(added))))
    whole = np.rint(added)
    return np.maximum(whole, 0).astype(np.uint8), np.maximum(-whole, 0).astype(np.uint8)


def _strength(gray: Plane) -> Plane:
    """Return how strong the watermark is at every pixel, in levels: more where there is texture that hides it."""
    height, width = gray.shape
    step = SHORTER_SIDE / min(height, width)
    canonical = (max(round(width * step), 1), max(round(height * step), 1))
    values = cv2.resize(gray, canonical, interpolation=cv2.INTER_AREA).astype(np.float32)
    detail = values - cv2.GaussianBlur(values, (0, 0), _FINE)
    contrast = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), _FINE))
    # The lowest nearby: an edge hides nothing on the flat parts beside it.
    texture = cv2.GaussianBlur(cv2.erode(contrast, np.ones((_NEARBY, _NEARBY))), (0, 0), 2)
    return cv2.resize(np.clip(_FLAT + _HIDES * (texture - _UNSEEN), _FLAT, _TEXTURED), (width, height))
