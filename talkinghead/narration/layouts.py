"""Where everything lies in the picture."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from talkinghead.errors import OptionError

LONGER_SIDE = 1280
"""Pixels of the longer side, where nobody asks for another number and no portrait decides."""

_WIDE, _TALL = (9, 16), (16, 9)


@dataclass(frozen=True)
class LayoutBox:
    """A part of the picture.

    Attributes:
        top: First row.
        left: First column.
        height: Rows.
        width: Columns.
        round: Whether only the circle in it counts.
    """

    top: int
    left: int
    height: int
    width: int
    round: bool = False

    @property
    def rows(self) -> slice:
        """Rows of the picture."""
        return slice(self.top, self.top + self.height)

    @property
    def columns(self) -> slice:
        """Columns of the picture."""
        return slice(self.left, self.left + self.width)


@dataclass(frozen=True)
class Layout:
    """Where everything lies.

    Attributes:
        size: (height, width) of the picture.
        speakers: Where they stand, from left to right; all in the same box where only one is seen at a time.
        slide: Where a slide lies, if there are slides.
        cut: Whether only the one who speaks is seen.
    """

    size: tuple[int, int]
    speakers: tuple[LayoutBox, ...]
    slide: LayoutBox | None
    cut: bool


def plan(name: str, own_size: tuple[int, int], longer: int | None, num_speakers: int, *, slides: bool) -> Layout:
    """Lay out a narration.

    Args:
        name: One of `options.LAYOUTS`.
        own_size: (height, width) of the first portrait, which "full" takes.
        longer: Pixels of the longer side, or None for the usual ones.
        num_speakers: How many there are.
        slides: Whether there are slides.

    Raises:
        OptionError: The layout has no room for slides.
    """
    if slides and name not in {"circle", "portrait"}:
        raise OptionError(f"layout {name!r} has no room for slides: give circle or portrait")
    if name == "full":
        height, width = (side + side % 2 for side in own_size)
        return Layout((height, width), (LayoutBox(0, 0, height, width),) * num_speakers, None, cut=True)
    height, width = _sides(longer or LONGER_SIDE, _TALL if name == "portrait" else _WIDE)
    if name == "side-by-side":
        edges = [width * n // num_speakers for n in range(num_speakers + 1)]
        boxes = tuple(LayoutBox(0, left, height, right - left) for left, right in pairwise(edges))
        return Layout((height, width), boxes, None, cut=False)
    if name == "circle":
        side, margin = round(height * 0.36), round(height * 0.04)
        box = LayoutBox(height - side - margin, width - side - margin, side, side, round=True)
        slide = LayoutBox(0, 0, height, width) if slides else None
        return Layout((height, width), (box,) * num_speakers, slide, cut=True)
    upper = width * 9 // 16 if slides else 0
    slide = LayoutBox(0, 0, upper, width) if slides else None
    return Layout((height, width), (LayoutBox(upper, 0, height - upper, width),) * num_speakers, slide, cut=True)


def window(picture: tuple[int, int], box: LayoutBox, center: tuple[float, float]) -> LayoutBox:
    """Return the largest part of a picture that has a box's shape and lies as near to a face as it can.

    Args:
        picture: Its (height, width).
        box: What shall be filled.
        center: (x, y) of the face.
    """
    height, width = picture
    across = min(width, round(height * box.width / box.height))
    down = min(height, round(width * box.height / box.width))
    left = round(min(max(center[0] - across / 2, 0), width - across))
    top = round(min(max(center[1] - down / 2, 0), height - down))
    return LayoutBox(top, left, down, across)


def _sides(longer: int, shape: tuple[int, int]) -> tuple[int, int]:
    """Return height and width, even, in a ratio of small numbers."""
    most = max(shape)
    height, width = (round(longer * side / most / 2) * 2 for side in shape)
    return height, width
