"""Draw a visible label into the upper left corner of pictures."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from talkinghead.errors import OptionError
from talkinghead.media.fonts import default_font
from talkinghead.media.image import Picture
from talkinghead.provenance.marks import Marks

_HEIGHT, _SMALLEST = 0.035, 9
"""Height of the letters relative to the shorter side of the picture, and the smallest one in pixels."""
_NO_LETTER, _CLEAR = "\U0010ffff", 24
"""A code that is no letter, for which fonts draw a box; and a size in pixels at which no letter looks like it."""
_BAND = (0, 0, 0, 150)


class Label:
    """A text that is drawn at the same place of every picture: white on a dark band."""

    def __init__(self, text: str, size: tuple[int, int]) -> None:
        """Draw it once.

        Args:
            text: The text, in one line; its letters shrink if it would be wider than the picture.
            size: (height, width) of the pictures.

        Raises:
            OptionError: The font lacks a letter, in whose place there would be a box.
        """
        check_letters(text)
        height, width = size
        points = max(round(min(size) * _HEIGHT), _SMALLEST)
        font = ImageFont.truetype(default_font(), points)
        margin = points // 2
        room = max(width - 4 * margin, 1)
        if font.getlength(text) > room:
            font = ImageFont.truetype(default_font(), max(points * room / font.getlength(text), 1))
        left, top, right, bottom = font.getbbox(text)
        band = Image.new("RGBA", (round(right - left) + 2 * margin, round(bottom - top) + 2 * margin), _BAND)
        ImageDraw.Draw(band).text((margin - left, margin - top), text, fill="white", font=font)
        drawn = np.array(band)[: max(height - margin, 0), : max(width - margin, 0)]
        self._box = (slice(margin, margin + drawn.shape[0]), slice(margin, margin + drawn.shape[1]))
        self._share = drawn[..., 3:].astype(np.float32) / 255
        self._text = drawn[..., :3] * self._share

    def draw(self, picture: Picture) -> Picture:
        """Return a picture, RGB or RGBA, with the label."""
        labelled = picture.copy()
        part = labelled[self._box]
        part[..., :3] = np.rint(self._text + part[..., :3] * (1 - self._share))
        if picture.shape[2] == 4:
            part[..., 3:] = np.rint(255 * self._share + part[..., 3:] * (1 - self._share))
        return labelled


def check_letters(text: str) -> None:
    """Check that the font has all letters of a label.

    Raises:
        OptionError: It lacks one.
    """
    font = ImageFont.truetype(default_font(), _CLEAR)

    def drawn(letter: str) -> bytes:
        picture = Image.new("L", (2 * _CLEAR, 2 * _CLEAR))
        ImageDraw.Draw(picture).text((0, 0), letter, fill=255, font=font)
        return picture.tobytes()

    box = drawn(_NO_LETTER)
    lacking = next((letter for letter in text if drawn(letter) == box), None)
    if lacking:
        raise OptionError(f"label {text!r}: the font has no {lacking!r}; write it in Latin, Greek or Cyrillic letters")


def open_label(marks: Marks | None, size: tuple[int, int]) -> Label | None:
    """Return the label of a file's pictures, which have this (height, width); None if there is to be none."""
    return Label(marks.options.label, size) if marks and marks.options.label else None
