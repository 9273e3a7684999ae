"""A picture with a face in it, made ready to be animated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple

import numpy as np
import torch

from liveportrait import Portrait
from talkinghead.face import CropFrame, PasteBack
from talkinghead.face.crop import Array, FaceRect, cut_crop, face_rect
from talkinghead.face.paste import overlap_mask
from talkinghead.host.isolation import own_settings
from talkinghead.media.image import Picture, limit_size, resize
from talkinghead.models import Models
from talkinghead.options import MAX_SIDE, CropOptions
from talkinghead.source.framing import Framed, frame_sources

_MIDDLE = np.full((1, 2), 0.5, np.float32)

PlaceCrop = Callable[[Picture, Picture | None], Picture]
"""Turns a rendered crop, RGB of shape (S, S, 3), into a picture of the video; or lays it over a picture in which
other faces have moved already, in place."""


class SourceFrame(NamedTuple):
    """What one batch of driving motion animates.

    Attributes:
        portrait: The encoded face; None where the source shows none.
        place: Makes pictures of the video.
    """

    portrait: Portrait | None
    place: PlaceCrop


@dataclass(frozen=True)
class ImageSource:
    """A picture, one of its faces, and what the video shows of them.

    Attributes:
        picture: RGB, shape (H, W, 3).
        frame: Where the face's crop lies in the picture.
        portrait: The encoded face.
        size: (height, width) of the video.
        place: Makes pictures of the video.
    """

    picture: Picture
    frame: CropFrame
    portrait: Portrait
    size: tuple[int, int]
    place: PlaceCrop

    still = True

    def source_frames(self) -> Iterator[SourceFrame]:
        """Yield the same scene for ever."""
        return repeat(SourceFrame(self.portrait, self.place))

    def pictures(self) -> Iterator[Picture]:
        """Yield the picture for ever."""
        return repeat(self.picture)


def open_image_source(picture: Picture, name: str, models: Models, options: CropOptions) -> ImageSource:
    """Find the face, encode it, and settle what the video shows; as `open_image_sources` of one face."""
    return open_image_sources(picture, name, models, options, [options.face])[0]


@own_settings()
def open_image_sources(
    picture: Picture, name: str, models: Models, options: CropOptions, numbers: Sequence[int | None]
) -> list[ImageSource]:
    """Find faces in one picture, encode them, and settle what the video shows.

    Args:
        picture: RGB, shape (H, W, 3).
        name: What to call the picture in messages.
        models: What finds and encodes.
        options: How much of the picture.
        numbers: Which faces, counted from 0 at the left; None for the largest.

    Raises:
        NoFaceError: There is no face.
        FaceIndexError: There are fewer faces than the one asked for.
        FaceTooSmallError: The face has too few pixels.
        OptionError: The box lies outside the picture.
    """
    small = limit_size(picture, MAX_SIDE if options.crop else options.size or MAX_SIDE)
    shrunk = len(small) / len(picture)
    framed = frame_sources(small, name, models.portrait, models.faces, options, numbers, shrunk)
    sources = []
    for n, face in enumerate(framed):
        portrait = encode(small, face.frame, face.landmarks, models)
        others = [face_square(other) for m, other in enumerate(framed) if m != n]
        mask = overlap_mask(face.frame, face_square(face), others) if others else None
        pasted = PasteBack(small, face.frame, mask=mask)
        asked = options.size or models.portrait.crop_size
        height, width = small.shape[:2]
        size = (asked, asked) if options.crop else (height, width)
        sources.append(ImageSource(small, face.frame, portrait, size, fitted(asked) if options.crop else pasted.place))
    return sources


def encode(picture: Picture, frame: CropFrame, landmarks: Array | None, models: Models) -> Portrait:
    """Encode the face in one crop of a picture."""
    with torch.inference_mode():
        return models.portrait.encode(cut_crop(picture, frame, landmarks).to(models.device))


def fitted(side: int) -> PlaceCrop:
    """Show a crop alone, at a size."""
    return lambda crop, _: fit(crop, side)


def fit(picture: Picture, side: int) -> Picture:
    """Resize a square picture."""
    return picture if len(picture) == side else resize(picture, side, side)


def face_square(face: Framed) -> FaceRect:
    """Return the square around a face from brows to chin, or the middle of its crop where nothing was measured."""
    if face.landmarks is not None:
        return face_rect(face.landmarks, 1.0, 0.0)
    middle, side = face.frame.points_to_image(_MIDDLE * face.frame.size)[0], face.frame.size / face.frame.zoom
    return FaceRect(middle, side / CropOptions.crop_scale, 0.0)
