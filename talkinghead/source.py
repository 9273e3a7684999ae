"""A picture with a face in it, made ready to be animated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple

import torch

from liveportrait import Portrait
from talkinghead.face import CropFrame, CropRule, PasteBack, choose_face, make_crop
from talkinghead.media.image import Picture, limit_size, resize
from talkinghead.models import Models
from talkinghead.options import MAX_SIDE, CropOptions


class Scene(NamedTuple):
    """What one batch of driving motion animates.

    Attributes:
        portrait: The encoded face; None where the source shows none.
        place: Turns a rendered crop, RGB of shape (crop_size, crop_size, 3), into a picture of the video.
    """

    portrait: Portrait | None
    place: Callable[[Picture], Picture]


@dataclass(frozen=True)
class Source:
    """A picture, its face, and what the video shows of them.

    Attributes:
        picture: RGB, shape (H, W, 3).
        frame: Where the face's crop lies in the picture.
        portrait: The encoded face.
        size: (height, width) of the video.
        place: Turns a rendered crop, RGB of shape (crop_size, crop_size, 3), into a picture of the video.
    """

    picture: Picture
    frame: CropFrame
    portrait: Portrait
    size: tuple[int, int]
    place: Callable[[Picture], Picture]

    still = True

    def scenes(self) -> Iterator[Scene]:
        """Yield the same scene for ever."""
        return repeat(Scene(self.portrait, self.place))


def open_source(picture: Picture, name: str, models: Models, options: CropOptions) -> Source:
    """Find the face, encode it, and settle what the video shows.

    Args:
        picture: RGB, shape (H, W, 3).
        name: What to call the picture in messages.
        models: What finds and encodes.
        options: Which face, and how much of the picture.

    Raises:
        NoFaceError: There is no face.
        FaceIndexError: There are fewer faces than the one asked for.
        FaceTooSmallError: The face has too few pixels.
    """
    picture = limit_size(picture, MAX_SIDE if options.crop else options.size or MAX_SIDE)
    face = choose_face(models.faces.detect(picture), options.face, name)
    side = models.portrait.crop_size
    crop, frame = make_crop(picture, face.landmarks, CropRule(size=side))
    with torch.inference_mode():
        portrait = models.portrait.encode(crop.to(models.device))
    if not options.crop:
        height, width = picture.shape[:2]
        return Source(picture, frame, portrait, (height, width), PasteBack(picture, frame, crop_size=side).paste)
    asked = options.size or side
    return Source(picture, frame, portrait, (asked, asked), lambda shown: fit(shown, asked))


def fit(picture: Picture, side: int) -> Picture:
    """Resize a square picture."""
    return picture if len(picture) == side else resize(picture, side, side)
