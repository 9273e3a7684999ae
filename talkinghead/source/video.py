"""A video with a face in it, made ready to be animated frame by frame: it keeps its rate, its sound and its length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from typing import NamedTuple

import numpy as np

from talkinghead.errors import OptionError
from talkinghead.face import FaceTracker, NoFaceError, PasteBack, choose_face
from talkinghead.face.crop import Array, FaceRect, face_rect
from talkinghead.face.paste import overlap_mask
from talkinghead.host.isolation import own_settings
from talkinghead.media.image import Picture, limit_size
from talkinghead.media.timing import steady
from talkinghead.media.video import VideoFile, read_frames
from talkinghead.models import Models
from talkinghead.options import MAX_SIDE, CropOptions
from talkinghead.source.framing import faces_in, frame_around, part_of
from talkinghead.source.image import SourceFrame, encode, fit, fitted

_SEARCH = 250
"""Frames at the beginning in which the face is looked for."""

_BRIDGE = 8
"""Frames without the face that are bridged; after more, frames pass as they are until it is back."""


class TrackedFrame(NamedTuple):
    """What was seen in a frame.

    Attributes:
        picture: RGB, shape (H, W, 3).
        points: Face-mesh points in its pixels, shape (478, 3), or None where the face is not in it.
        is_cut: Whether the frame begins a new scene.
    """

    picture: Picture
    points: Array | None
    is_cut: bool = False


@dataclass
class VideoSourceLog:
    """What became of a film's frames while they were made.

    Attributes:
        frames: How many there were.
        passed: Numbers of those that passed as they are.
        cuts: Numbers of those that began a new scene.
    """

    frames: int = 0
    passed: list[int] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)

    def clear(self) -> None:
        """Begin anew."""
        self.frames, self.passed, self.cuts = 0, [], []

    def add(self, frame: TrackedFrame) -> None:
        """Count one frame."""
        if frame.points is None:
            self.passed.append(self.frames)
        if frame.is_cut:
            self.cuts.append(self.frames)
        self.frames += 1

    def notes(self, name: str, fps: Fraction) -> tuple[str, ...]:
        """Say what a user should know."""
        notes = []
        if self.passed:
            first = float(self.passed[0] / fps)
            notes.append(
                f"{name}: no face to animate in {len(self.passed)} of {self.frames} frames, first at {first:.1f} s: "
                "they are as they were"
            )
        if self.cuts:
            times = ", ".join(f"{float(n / fps):.1f}" for n in self.cuts[:5]) + (" ..." if len(self.cuts) > 5 else "")
            notes.append(f"{name}: a new scene at {times} s: the face was looked for anew")
        return tuple(notes)


@dataclass(frozen=True)
class VideoSource:
    """A source that moves.

    Attributes:
        file: The video.
        models: What finds and encodes.
        options: How much of the picture.
        size: (height, width) of the pictures to come out.
        first: The frame that shows the face first, counted from 0.
        face: The face's points in it, shape (478, 3).
        others: Squares around the other faces that move in the same film, in that frame.
        log: Filled while `source_frames` runs.
    """

    file: VideoFile
    models: Models
    options: CropOptions
    size: tuple[int, int]
    first: int
    face: Array
    others: tuple[FaceRect, ...] = ()
    log: VideoSourceLog = field(default_factory=VideoSourceLog)

    still = False

    def source_frames(self) -> Iterator[SourceFrame]:
        """Yield every frame ready to be animated; those without the face have no portrait."""
        self.log.clear()
        for frame in bridged(self._tracked_frames()):
            self.log.add(frame)
            yield self._whole(frame.picture) if frame.points is None else self._scene(frame.picture, frame.points)

    def pictures(self) -> Iterator[Picture]:
        """Yield every frame as it is, at the film's constant rate."""
        for frame in steady(read_frames(self.file.file), self.file.fps):
            yield limit_size(frame.picture, _longest(self.options))

    def notes(self) -> tuple[str, ...]:
        """Say what a user should know about the frames that were made."""
        return self.log.notes(str(self.file.file), self.file.fps)

    def _tracked_frames(self) -> Iterator[TrackedFrame]:
        with closing(FaceTracker(self.models.faces)) as tracker:
            for n, picture in enumerate(self.pictures()):
                if n == self.first:
                    tracker.start(picture, self.face)
                points = tracker.track(picture) if n >= self.first else None
                yield TrackedFrame(picture, points, n > self.first and tracker.is_cut)

    def _scene(self, picture: Picture, points: Array) -> SourceFrame:
        frame = frame_around(points, self.models.portrait, self.options)
        portrait = encode(picture, frame, points, self.models)
        if self.options.crop:
            return SourceFrame(portrait, fitted(self.size[0]))
        mask = overlap_mask(frame, face_rect(points, 1.0, 0.0), self.others) if self.others else None
        return SourceFrame(portrait, PasteBack(picture, frame, mask=mask).place)

    def _whole(self, picture: Picture) -> SourceFrame:
        """Show a frame as it is; in a video of the face, its middle."""

        def place(_: Picture, background: Picture | None) -> Picture:
            if not self.options.crop:
                return picture if background is None else background
            height, width = picture.shape[:2]
            side = min(height, width)
            top, left = (height - side) // 2, (width - side) // 2
            return fit(picture[top : top + side, left : left + side], self.size[0])

        return SourceFrame(None, place)


@own_settings()
def open_video_sources(
    file: VideoFile, models: Models, options: CropOptions, numbers: Sequence[int | None] = (None,)
) -> list[VideoSource]:
    """Find faces in a video's first frames.

    Args:
        file: The video.
        models: What finds and encodes.
        options: How much of the picture.
        numbers: Which faces, counted from 0 at the left of the first frame that shows any; None for the largest.

    Raises:
        NoFaceError: None of the frames shows a face.
        FaceIndexError: There are fewer faces than the one asked for.
        OptionError: The box lies outside the picture, or no crop is to be cut from a face that moves.
    """
    if options.no_crop:
        raise OptionError(f"{file.file}: --no-crop is for pictures, a video's face is cropped frame by frame")
    for n, frame in enumerate(islice(steady(read_frames(file.file), file.fps), _SEARCH)):
        picture = limit_size(frame.picture, _longest(options))
        shrunk = len(picture) / file.size[0]
        part = part_of(picture, str(file.file), options.box, shrunk)
        faces = faces_in(picture, part, models.faces, thorough=n == 0)
        if not faces:
            continue
        name = f"{file.file}, frame {n + 1}"
        chosen = [choose_face(faces, number, name, shrunk).landmarks for number in numbers]
        squares = [face_rect(points, 1.0, 0.0) for points in chosen]
        asked = options.size or models.portrait.crop_size
        height, width = picture.shape[:2]
        size = (asked, asked) if options.crop else (height, width)
        return [
            VideoSource(file, models, options, size, n, points, tuple(squares[:m] + squares[m + 1 :]))
            for m, points in enumerate(chosen)
        ]
    raise NoFaceError(f"{file.file}: no face in its first {_SEARCH} frames; cut the video so that it begins with one")


def bridged(frames: Iterable[TrackedFrame]) -> Iterator[TrackedFrame]:
    """Fill in where the face was between two frames that show it, unless they are far apart or a cut lies between."""
    before: Array | None = None
    waiting: list[TrackedFrame] = []
    for frame in frames:
        if frame.is_cut:
            yield from waiting
            waiting, before = [], None
        if frame.points is None and before is not None and len(waiting) < _BRIDGE:
            waiting.append(frame)
            continue
        for n, passed in enumerate(waiting):
            share = np.float32((n + 1) / (len(waiting) + 1))
            known = before is not None and frame.points is not None
            points = before + share * (frame.points - before) if known else None  # type: ignore[operator]
            yield passed._replace(points=points)
        waiting = []
        yield frame
        before = frame.points
    yield from waiting


def _longest(options: CropOptions) -> int:
    return MAX_SIDE if options.crop else options.size or MAX_SIDE
