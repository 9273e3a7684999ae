"""A source picture, prepared for animation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from typing import NamedTuple

import numpy as np
import torch

from liveportrait import Portrait
from liveportrait.pictures import to_pictures
from talkinghead.errors import OptionError
from talkinghead.face import CropFrame, PasteBack
from talkinghead.face.crop import SOURCE_CROP, Array, FaceRect, cut, cut_crop, face_rect
from talkinghead.face.landmarks import PersonFinder
from talkinghead.face.layers import separate
from talkinghead.face.paste import overlap_mask
from talkinghead.face.tone import Tone, find_tone
from talkinghead.host.isolation import own_settings
from talkinghead.media.image import Picture, limit_size, resize
from talkinghead.models import Models
from talkinghead.options import MAX_SIDE, CropOptions
from talkinghead.source.framing import Framed, frame_sources

_MIDDLE = np.full((1, 2), 0.5, np.float32)

PlaceCrop = Callable[[Picture, Picture | None], Picture]
"""Turns a rendered crop, RGB of shape (S, S, 3), into a picture of the video; or pastes it in place into a picture in
which other faces are animated already."""


class SourceFrame(NamedTuple):
    """One frame of a source, animated by one batch of driving motion.

    Attributes:
        portrait: The encoded face, or None if the frame shows none.
        place: Turns crops into pictures of the video.
        tone: Of a face without colours.
    """

    portrait: Portrait | None
    place: PlaceCrop
    tone: Tone | None = None


@dataclass(frozen=True)
class ImageSource:
    """A picture, one of its faces, and how they appear in the video.

    Attributes:
        picture: RGB, shape (H, W, 3).
        frame: The face's crop in the picture.
        portrait: The encoded face.
        size: (height, width) of the video.
        place: Turns crops into pictures of the video.
        tone: Of a face without colours.
        window: The part of the picture that the video shows, or None if it shows all of it.
    """

    picture: Picture
    frame: CropFrame
    portrait: Portrait
    size: tuple[int, int]
    place: PlaceCrop
    tone: Tone | None = None
    window: CropFrame | None = None

    still = True

    def source_frames(self) -> Iterator[SourceFrame]:
        """Yield the same frame endlessly."""
        return repeat(SourceFrame(self.portrait, self.place, self.tone))

    def pictures(self) -> Iterator[Picture]:
        """Yield the picture endlessly."""
        return repeat(self.picture)


def open_image_source(picture: Picture, name: str, models: Models, options: CropOptions) -> ImageSource:
    """Find and encode one face; like `open_image_sources`."""
    return open_image_sources(picture, name, models, options, [options.face])[0]


@own_settings()
def open_image_sources(
    picture: Picture, name: str, models: Models, options: CropOptions, numbers: Sequence[int | None]
) -> list[ImageSource]:
    """Find faces in one picture and encode them.

    Args:
        picture: RGB, shape (H, W, 3).
        name: The picture's name in messages.
        models: The loaded networks.
        options: How to crop.
        numbers: The faces to use, counted from 0 at the left; None for the largest.

    Raises:
        NoFaceError: No face was found.
        FaceIndexError: There is no face of a requested number.
        FaceTooSmallError: The face has too few pixels.
        OptionError: The box lies outside the picture, or the model has no such set of teeth.
    """
    check_teeth(models, options.teeth)
    small = limit_size(picture, MAX_SIDE if options.face_only else options.size or MAX_SIDE)
    shrunk = len(small) / len(picture)
    around = partial(models.crop_points, still=True)
    framed = frame_sources(small, name, models.portrait, models.faces, options, numbers, shrunk, around)
    finder = PersonFinder() if options.still_background and models.portrait.renders_layers else None
    sources = []
    for n, face in enumerate(framed):
        portrait = encode(small, face.frame, face.landmarks, models, finder, options.teeth)
        others = [face_square(other) for m, other in enumerate(framed) if m != n]
        mask = overlap_mask(face.frame, face_square(face), others) if others else None
        side, tone = options.size or models.portrait.crop_size, find_tone(small, face.frame)
        if options.face_only:
            window, place = show_alone(small, face.frame, side)
            sources.append(ImageSource(small, face.frame, portrait, (side, side), place, tone, window))
        else:
            pasted = PasteBack(small, face.frame, mask=mask)
            height, width = small.shape[:2]
            sources.append(ImageSource(small, face.frame, portrait, (height, width), pasted.place, tone))
    return sources


def encode(
    picture: Picture,
    frame: CropFrame,
    landmarks: Array | None,
    models: Models,
    finder: PersonFinder | None = None,
    teeth: int | None = None,
) -> Portrait:
    """Encode the face in one crop of a picture.

    Args:
        picture: RGB, shape (H, W, 3).
        frame: The crop's place in it.
        landmarks: Face-mesh points in its pixels, or None.
        models: The loaded networks.
        finder: Separates the person from the background, which then stays; None to leave them together.
        teeth: Number of the set of teeth that is shown if the lips are shut; None to choose it by the skin.
    """
    crop = cut_crop(picture, frame, landmarks)
    if finder is not None:
        crop = replace(crop, layers=separate(to_pictures(crop.image)[0], finder))
    with torch.inference_mode():
        portrait = models.portrait.encode(crop.to(models.device))
        if teeth is None or portrait.teeth is None:
            return portrait
        return replace(portrait, teeth=torch.full_like(portrait.teeth, teeth))


def check_teeth(models: Models, teeth: int | None) -> None:
    """Check, before a face is searched for, that there is a set of teeth of this number.

    Raises:
        OptionError: There is none. Models that have no sets at all ignore the number.
    """
    sets = models.portrait.num_teeth
    if teeth is not None and 0 < sets <= teeth:
        raise OptionError(f"--teeth {teeth}: there are {sets} sets; give one from 0 to {sets - 1}")


def teeth_of(portrait: Portrait | None) -> int | None:
    """Return the number of a portrait's set of teeth, for further frames of the same face; None if it has none."""
    return None if portrait is None or portrait.teeth is None else int(portrait.teeth[0])


def show_alone(picture: Picture, frame: CropFrame, side: int) -> tuple[CropFrame, PlaceCrop]:
    """Show a crop alone, as a square that lies inside the picture.

    Args:
        picture: The picture, RGB, shape (H, W, 3).
        frame: The crop's place in it.
        side: Side of the pictures of the video.

    Returns:
        The part of the picture that is shown, and a function that turns crops into pictures of the video.
    """
    window = frame.inside(picture.shape).resized(side)
    if frame.inside(picture.shape) is frame:
        return window, lambda crop, _: fit(crop, side)
    return window, PasteBack(cut(picture, window), frame.seen_in(window)).place


def fit(picture: Picture, side: int) -> Picture:
    """Resize a square picture."""
    return picture if len(picture) == side else resize(picture, side, side)


def face_square(face: Framed) -> FaceRect:
    """Return the square around a face from brows to chin, or without landmarks the middle of its crop."""
    if face.landmarks is not None:
        return face_rect(face.landmarks, 1.0, 0.0)
    middle, side = face.frame.points_to_image(_MIDDLE * face.frame.size)[0], face.frame.size / face.frame.zoom
    return FaceRect(middle, side / SOURCE_CROP.scale, 0.0)
