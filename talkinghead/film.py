"""A video with a face in it, made ready to be animated frame by frame: it keeps its rate, its sound and its length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

import numpy as np
import torch

from talkinghead.face import CropRule, FaceTracker, NoFaceError, PasteBack, choose_face, make_crop
from talkinghead.face.crop import Array
from talkinghead.media.image import Picture, limit_size
from talkinghead.media.video import VideoFile, VideoFrame, read_frames
from talkinghead.models import Models
from talkinghead.options import MAX_SIDE, CropOptions
from talkinghead.source import Scene, fit

_SEARCH = 50
"""Frames at the beginning in which the face is looked for thoroughly."""

_BRIDGE = 8
"""Frames without the face that are bridged; after more, frames pass as they are until it is back."""

Sight = tuple[Picture, Array | None]


@dataclass(frozen=True)
class Film:
    """A source that moves.

    Attributes:
        file: The video.
        models: What finds and encodes.
        options: Which face, and how much of the picture.
        size: (height, width) of the pictures to come out.
        begin: The frame that shows the face first, counted from 0, and the face's points in it.
    """

    file: VideoFile
    models: Models
    options: CropOptions
    size: tuple[int, int]
    begin: tuple[int, Array]

    still = False

    def scenes(self) -> Iterator[Scene]:
        """Yield every frame ready to be animated; those without the face have no portrait."""
        for picture, points in bridged(self._sights()):
            yield (
                Scene(None, lambda _, shown=picture: self._whole(shown))
                if points is None
                else self._scene(picture, points)
            )

    def _sights(self) -> Iterator[Sight]:
        tracker, (first, face) = FaceTracker(self.models.faces), self.begin
        for n, frame in enumerate(steady(read_frames(self.file.file), self.file.fps)):
            picture = limit_size(frame.picture, _longest(self.options))
            if n == first:
                tracker.start(picture, face)
            yield picture, tracker.track(picture) if n >= first else None

    def _scene(self, picture: Picture, points: Array) -> Scene:
        side = self.models.portrait.crop_size
        crop, frame = make_crop(picture, points, CropRule(size=side))
        with torch.inference_mode():
            portrait = self.models.portrait.encode(crop.to(self.models.device))
        if self.options.crop:
            return Scene(portrait, lambda shown: fit(shown, self.size[0]))
        return Scene(portrait, PasteBack(picture, frame, crop_size=side).paste)

    def _whole(self, picture: Picture) -> Picture:
        if not self.options.crop:
            return picture
        height, width = picture.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return fit(picture[top : top + side, left : left + side], self.size[0])


def open_film(file: VideoFile, models: Models, options: CropOptions) -> Film:
    """Find the face in a video's first frames.

    Raises:
        NoFaceError: None of them shows one.
        FaceIndexError: There are fewer faces than the one asked for.
    """
    for n, frame in enumerate(islice(steady(read_frames(file.file), file.fps), _SEARCH)):
        picture = limit_size(frame.picture, _longest(options))
        faces = models.faces.detect(picture, thorough=n == 0)
        if faces:
            face = choose_face(faces, options.face, f"{file.file}, frame {n + 1}")
            height, width = picture.shape[:2]
            asked = options.size or models.portrait.crop_size
            size = (asked, asked) if options.crop else (height, width)
            return Film(file, models, options, size, (n, face.landmarks))
    raise NoFaceError(f"{file.file}: no face in its first {_SEARCH} frames; cut the video so that it begins with one")


def steady(frames: Iterable[VideoFrame], fps: Fraction) -> Iterator[VideoFrame]:
    """Show frames at a constant rate: each by its time, repeated or left out where the rate varied."""
    last: VideoFrame | None = None
    first, done = Fraction(0), 0
    for frame in frames:
        if last is None:
            first = frame.seconds
        due = max(round((frame.seconds - first) * fps), 0)
        for _ in range(due - done if last else 0):
            yield last  # type: ignore[misc]
            done += 1
        last = frame
    if last is not None:
        yield last


def bridged(sights: Iterable[Sight]) -> Iterator[Sight]:
    """Fill in where the face was between two frames that show it, unless they are far apart."""
    before: Array | None = None
    waiting: list[Picture] = []
    for picture, points in sights:
        if points is None and before is not None and len(waiting) < _BRIDGE:
            waiting.append(picture)
            continue
        for n, passed in enumerate(waiting):
            share = np.float32((n + 1) / (len(waiting) + 1))
            known = before is not None and points is not None
            yield passed, before + share * (points - before) if known else None  # type: ignore[operator]
        waiting = []
        yield picture, points
        before = points
    yield from ((passed, None) for passed in waiting)


def _longest(options: CropOptions) -> int:
    return MAX_SIDE if options.crop else options.size or MAX_SIDE
