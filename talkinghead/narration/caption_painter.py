"""Draw captions into pictures: white on a dark band near the lower edge."""

from __future__ import annotations

import os
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from talkinghead.errors import OptionError
from talkinghead.media.files import require_file
from talkinghead.media.fonts import default_font
from talkinghead.media.image import Picture
from talkinghead.narration.options import CaptionOptions

_BAND = (0, 0, 0, 150)
_LIFT = 0.05
"""Distance of captions from the lower edge, relative to the height."""
_WIDEST = 0.92
"""Largest width of a line relative to the picture; the font is reduced for longer ones."""


class CaptionPainter:
    """Draws captions into pictures of one size."""

    def __init__(self, size: tuple[int, int], options: CaptionOptions) -> None:
        """Load the font.

        Args:
            size: (height, width) of the pictures.
            options: The font and its size.

        Raises:
            OptionError: The font file cannot be read.
        """
        if os.path.exists(options.caption_font):  # other names are looked up among the system's fonts
            require_file(options.caption_font, OptionError)
        self._size, self._font_file = size, options.caption_font or str(default_font())
        self._points = max(round(min(size) * options.caption_size), 8)
        self._font(self._points)
        self._overlay = lru_cache(maxsize=4)(self._draw)

    def paint(self, picture: Picture, text: str) -> Picture:
        """Return a picture, RGB or RGBA, with a caption; the same object if the text is empty."""
        if not text:
            return picture
        top, left, overlay = self._overlay(text)
        out = picture.copy()
        region = out[top : top + overlay.shape[0], left : left + overlay.shape[1]]
        share = overlay[..., 3:].astype(np.float32) / 255
        region[..., :3] = np.rint(overlay[..., :3] * share + region[..., :3] * (1 - share))
        if out.shape[2] == 4:
            region[..., 3:] = np.rint(255 * share + region[..., 3:] * (1 - share))
        return out

    def _draw(self, text: str) -> tuple[int, int, Picture]:
        """Return top and left of a caption's band, and the band with its text, RGBA."""
        height, width = self._size
        font, spacing = self._fitting(text), self._points * 0.25
        canvas = Image.new("RGBA", (width, height))
        draw = ImageDraw.Draw(canvas)
        lowest = round(height * (1 - _LIFT))
        place = {"xy": (width / 2, lowest), "text": text, "font": font, "anchor": "md", "align": "center"}
        left, top, right, bottom = draw.multiline_textbbox(**place, spacing=spacing)
        margin = self._points * 0.4
        band = [max(left - margin, 0), max(top - margin, 0), min(right + margin, width), min(bottom + margin, height)]
        draw.rounded_rectangle(band, margin, fill=_BAND)
        draw.multiline_text(**place, spacing=spacing, fill="white")
        box = [int(band[0]), int(band[1]), int(np.ceil(band[2])), int(np.ceil(band[3]))]
        return box[1], box[0], np.array(canvas.crop((box[0], box[1], box[2], box[3])))

    def _fitting(self, text: str) -> ImageFont.FreeTypeFont:
        """Return the font, reduced if a line would not fit into the picture."""
        font = self._font(self._points)
        widest = max(font.getlength(line) for line in text.splitlines())
        room = self._size[1] * _WIDEST - self._points
        return font if widest <= room else self._font(max(int(self._points * room / widest), 6))

    def _font(self, points: int) -> ImageFont.FreeTypeFont:
        try:
            return ImageFont.truetype(self._font_file, points)
        except OSError:
            raise OptionError(f"caption_font {self._font_file!r} cannot be read as a font: give a .ttf") from None
