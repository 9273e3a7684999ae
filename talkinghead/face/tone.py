"""Keep black-and-white and sepia pictures free of colour: the networks paint lips red."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from talkinghead.face.crop import CropFrame, cut
from talkinghead.media.image import Picture

_SEEN = 128
_MOST_COLOUR = 1.5
"""Deviation of the channels from a function of brightness, in levels of 255, up to which a picture has no colours."""
_HOLD = 2.0
"""Factor by which a frame of a video has to pass the limit to be judged differently from the frame before it."""
_DEGREE = 3


@dataclass(frozen=True)
class Tone:
    """The colour of each brightness in a picture without colours.

    Attributes:
        table: RGB of each level of grey, shape (256, 1, 3), uint8.
    """

    table: NDArray[np.uint8]

    def apply(self, pictures: Picture) -> Picture:
        """Tone pictures (T, H, W, 3).

        Example:
            >>> grey = Tone(np.arange(256, dtype=np.uint8)[:, None, None].repeat(3, 2))
            >>> grey.apply(np.full((1, 2, 2, 3), (255, 0, 0), np.uint8))[0, 0, 0]
            array([76, 76, 76], dtype=uint8)
        """
        toned = np.empty_like(pictures)
        for picture, out in zip(pictures, toned, strict=True):
            cv2.applyColorMap(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), self.table, out)
        return toned


class ToneFinder:
    """Finds the tone of each frame of a scene; it does not come and go where there is hardly any colour.

    Example:
        >>> tones = ToneFinder()
        >>> found = [tones.find(picture, frame) for picture, frame in scene]  # doctest: +SKIP
    """

    def __init__(self) -> None:
        self._most_colour = _MOST_COLOUR

    def find(self, picture: Picture, frame: CropFrame) -> Tone | None:
        """Find the tone of the next frame; arguments and result are those of `find_tone`."""
        tone = find_tone(picture, frame, self._most_colour)
        self._most_colour = _MOST_COLOUR * (1 / _HOLD if tone is None else _HOLD)
        return tone


def find_tone(picture: Picture, frame: CropFrame, most_colour: float = _MOST_COLOUR) -> Tone | None:
    """Find the tone of a crop.

    Args:
        picture: RGB, shape (H, W, 3).
        frame: The crop's place in it.
        most_colour: Deviation of the channels from a function of brightness that counts as none, in levels of 255.

    Returns:
        Its tone, or None if it has colours.
    """
    crop = cut(picture, frame.resized(_SEEN))
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).ravel() / 255.0
    colour = crop.reshape(-1, 3) / 255.0 - grey[:, None]
    powers, levels = (np.vander(each, _DEGREE + 1) for each in (grey, np.linspace(0, 1, 256)))
    fit = np.linalg.lstsq(powers, colour, rcond=None)[0]
    if 255 * np.sqrt(np.mean((colour - powers @ fit) ** 2)) > most_colour:
        return None
    table = 255 * (np.linspace(0, 1, 256)[:, None] + levels @ fit)
    return Tone(cast("NDArray[np.uint8]", table.round().clip(0, 255).astype(np.uint8)[:, None]))
