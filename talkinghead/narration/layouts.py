"""Layouts: the places of speakers and slides in the picture."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from talkinghead.errors import OptionError

LONGER_SIDE = 1280
"""Default longer side of the picture in pixels, for layouts whose size does not follow from a portrait."""

_WIDE, _TALL = (9, 16), (16, 9)


@dataclass(frozen=True)
class LayoutBox:
    """A part of the picture.

    Attributes:
        top: First row.
        left: First column.
        height: Rows.
        width: Columns.
        round: Whether only the inscribed circle is shown.
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
    """The layout of a narration's picture.

    Attributes:
        size: (height, width) of the picture.
        speakers: The boxes of the speakers, from left to right; all the same box if `cut`.
        slide: The box of the slide, or None.
        cut: Whether only the current speaker is shown.
    """

    size: tuple[int, int]
    speakers: tuple[LayoutBox, ...]
    slide: LayoutBox | None
    cut: bool


def plan(name: str, own_size: tuple[int, int], longer: int | None, num_speakers: int, *, slides: bool) -> Layout:
    """Return the layout of a narration.

    Args:
        name: One of `options.LAYOUTS`.
        own_size: (height, width) of the first portrait, which is the size of layout "full".
        longer: Longer side in pixels, or None for the default.
        num_speakers: The number of speakers.
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
    """Return the largest part of a picture with a box's aspect ratio, centred on a face as far as possible.

    Args:
        picture: Its (height, width).
        box: The box to fill.
        center: (x, y) of the face.
    """
    height, width = picture
    across = min(width, round(height * box.width / box.height))
    down = min(height, round(width * box.height / box.width))
    left = round(min(max(center[0] - across / 2, 0), width - across))
    top = round(min(max(center[1] - down / 2, 0), height - down))
    return LayoutBox(top, left, down, across)


def _sides(longer: int, shape: tuple[int, int]) -> tuple[int, int]:
    """Return even height and width in a given ratio."""
    most = max(shape)
    height, width = (round(longer * side / most / 2) * 2 for side in shape)
    return height, width
