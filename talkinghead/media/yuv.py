"""Convert pictures to the pixel format of a video encoder; of each picture only what differs from the one before."""

from __future__ import annotations

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from talkinghead.media.image import Picture
from talkinghead.provenance.watermark import Watermark

MARGIN = 16
"""Pixels around a changed box that are converted too, because colours are averaged over neighbours; a multiple of 2."""

Box = tuple[slice, slice]


class YuvConverter:
    """Converts the pictures of one video to YUV 4:2:0, BT.709, limited range.

    The result is that of converting every picture whole. In most videos only a part of the picture moves.
    """

    def __init__(self, watermark: Watermark | None = None) -> None:
        """Start a video.

        Args:
            watermark: What is laid on the luma of every picture, with the share `watermark.LUMA_SHARE`.
        """
        self._watermark = watermark
        self._before: Picture | None = None
        self._planes: list[NDArray[np.uint8]] = []

    def convert(self, picture: Picture) -> av.VideoFrame:
        """Convert a picture.

        Args:
            picture: RGB, shape (H, W, 3), H and W even, the same for all pictures; it must not change afterwards.
        """
        before, self._before = self._before, picture
        if before is None:
            frame = to_yuv(picture)
            self._planes = [plane.copy() for plane in planes(frame)]
            if self._watermark:
                self._planes[0] = self._watermark.lay(self._planes[0])
            return self._frame(picture)
        box = changed_box(before, picture)
        if box is not None:
            self._update(picture, box)
        return self._frame(picture)

    def _frame(self, picture: Picture) -> av.VideoFrame:
        """Return the planes as a frame of the picture's size."""
        frame = av.VideoFrame(picture.shape[1], picture.shape[0], "yuv420p")
        frame.colorspace, frame.color_range = Colorspace.ITU709, ColorRange.MPEG
        for plane, kept in zip(planes(frame), self._planes, strict=True):
            plane[:] = kept
        return frame

    def _update(self, picture: Picture, box: Box) -> None:
        """Convert a box, with a margin whose own outer part is thrown away."""
        inner = grown(box, MARGIN // 2, picture.shape)
        outer = grown(box, MARGIN, picture.shape)
        converted = to_yuv(np.ascontiguousarray(picture[outer]))
        for n, (plane, kept) in enumerate(zip(planes(converted), self._planes, strict=True)):
            step = 1 if n == 0 else 2  # of the colour planes, a pixel covers two of the picture
            rows, columns = (slice(side.start // step, side.stop // step) for side in inner)
            where = (rows, columns)
            source = tuple(
                slice((side.start - first.start) // step, (side.stop - first.start) // step)
                for side, first in zip(inner, outer, strict=True)
            )
            part = plane[source]
            kept[where] = self._watermark.lay(part, where) if n == 0 and self._watermark else part


def to_yuv(picture: Picture) -> av.VideoFrame:
    """Convert a whole picture."""
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
    return frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)


def changed_box(before: Picture, after: Picture) -> Box | None:
    """Return rows and columns that hold all differences between two pictures of one size, or None.

    Eight bytes are compared at once where a row's length allows it, so up to two columns too many are returned on each
    side.
    """
    height, width, channels = after.shape
    word = 8 if width * channels % 8 == 0 else 1
    lines = (np.ascontiguousarray(each).reshape(height, -1).view(f"u{word}") for each in (before, after))
    changed = np.not_equal(*lines)
    rows = np.flatnonzero(changed.any(1))
    if not len(rows):
        return None
    high = slice(int(rows[0]), int(rows[-1]) + 1)
    words = np.flatnonzero(changed[high].any(0))
    return high, slice(int(words[0]) * word // channels, -(-(int(words[-1]) + 1) * word // channels))


def grown(box: Box, margin: int, shape: tuple[int, ...]) -> Box:
    """Grow a box to even sides with a margin, as far as the picture reaches."""
    rows, columns = (
        slice(max(side.start - margin, 0) // 2 * 2, min(side.stop + margin + 1, length) // 2 * 2)
        for side, length in zip(box, shape, strict=False)
    )
    return rows, columns


def planes(frame: av.VideoFrame) -> list[NDArray[np.uint8]]:
    """Return the planes of a frame, without the padding of their lines, as views."""
    return [
        np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]  # type: ignore[arg-type] — a buffer
        for plane in frame.planes
    ]
