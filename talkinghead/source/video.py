"""A source video, prepared for animation frame by frame; it keeps its frame rate, sound and length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from typing import NamedTuple

import numpy as np

from talkinghead.errors import OptionError
from talkinghead.face import CropFrame, Face, FaceIndexError, FaceTracker, NoFaceError, PasteBack, choose_face
from talkinghead.face.crop import Array, FaceRect, face_rect
from talkinghead.face.paste import overlap_mask
from talkinghead.face.tone import ToneFinder
from talkinghead.host.isolation import own_settings
from talkinghead.media.image import Picture, limit_size
from talkinghead.media.timing import steady
from talkinghead.media.video import VideoFile, read_frames
from talkinghead.models import Models
from talkinghead.options import MAX_SIDE, CropOptions
from talkinghead.source.framing import faces_in, frame_around, part_of
from talkinghead.source.image import SourceFrame, check_teeth, encode, fit, show_alone, teeth_of

_SEARCH = 250
"""Number of frames at the beginning that are searched for the face."""

_MAX_GAP = 8
"""Longest gap in frames over which the face is interpolated; longer gaps stay unchanged."""


_RIVAL = 0.6
"""Size of a face, relative to the largest one's, from which it may be the one that the user means."""


class TrackedFrame(NamedTuple):
    """A frame of a source video and the face found in it.

    Attributes:
        picture: RGB, shape (H, W, 3).
        points: Face-mesh points in its pixels, shape (478, 3), or None if it does not show the face.
        is_cut: Whether the frame is the first after a cut.
    """

    picture: Picture
    points: Array | None
    is_cut: bool = False


@dataclass
class VideoSourceLog:
    """A record of the frames of a source video while they are rendered.

    Attributes:
        frames: The number of frames so far.
        passed: Indices of frames that were left unchanged.
        cuts: Indices of the first frames after cuts.
    """

    frames: int = 0
    passed: list[int] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)

    def clear(self) -> None:
        """Start a new record."""
        self.frames, self.passed, self.cuts = 0, [], []

    def add(self, frame: TrackedFrame) -> None:
        """Record one frame."""
        if frame.points is None:
            self.passed.append(self.frames)
        if frame.is_cut:
            self.cuts.append(self.frames)
        self.frames += 1

    def notes(self, name: str, fps: Fraction) -> tuple[str, ...]:
        """Return remarks for the user."""
        notes = []
        if self.passed:
            first = float(self.passed[0] / fps)
            notes.append(
                f"{name}: no face to animate in {len(self.passed)} of {self.frames} frames, first at {first:.1f} s: "
                "these frames are unchanged"
            )
        if self.cuts:
            times = ", ".join(f"{float(n / fps):.1f}" for n in self.cuts[:5]) + (" ..." if len(self.cuts) > 5 else "")
            notes.append(f"{name}: a new scene at {times} s, where the face was detected again")
        return tuple(notes)


@dataclass(frozen=True)
class VideoSource:
    """A source video and one of its faces.

    Attributes:
        file: The video.
        models: The loaded networks.
        options: How to crop.
        size: (height, width) of the rendered pictures.
        first: Index of the first frame that shows the face.
        face: The face's points in that frame, shape (478, 3).
        others: Squares around the other animated faces, in that frame.
        log: The record of the latest `source_frames`.
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
        """Yield every frame, prepared for animation; frames without the face have no portrait."""
        self.log.clear()
        teeth, tones = self.options.teeth, ToneFinder()
        for frame in bridged(self.tracked_frames()):
            self.log.add(frame)
            if frame.is_cut:
                tones = ToneFinder()
            if frame.points is None:
                yield self.unchanged(frame.picture)
                continue
            source = self._crop(frame.picture, frame.points, teeth, tones)
            teeth = teeth_of(source.portrait)
            yield source

    def pictures(self) -> Iterator[Picture]:
        """Yield every frame unchanged, at a constant frame rate."""
        for frame in steady(read_frames(self.file.file), self.file.fps, self.file.last_seconds):
            yield limit_size(frame.picture, longest_side(self.options))

    def notes(self) -> tuple[str, ...]:
        """Return remarks about the rendered frames."""
        return self.log.notes(str(self.file.file), self.file.fps)

    def tracked_frames(self) -> Iterator[TrackedFrame]:
        """Yield every frame, and the face in it if it is found."""
        with closing(FaceTracker(self.models.faces)) as tracker:
            for n, picture in enumerate(self.pictures()):
                if n == self.first:
                    tracker.start(picture, self.face)
                points = tracker.track(picture) if n >= self.first else None
                yield TrackedFrame(picture, points, n > self.first and tracker.is_cut)

    def _crop(self, picture: Picture, points: Array, teeth: int | None, tones: ToneFinder) -> SourceFrame:
        frame = self.crop_around(picture, points)
        portrait, tone = encode(picture, frame, points, self.models, teeth=teeth), tones.find(picture, frame)
        if self.options.face_only:
            return SourceFrame(portrait, show_alone(picture, frame, self.size[0])[1], tone)
        mask = overlap_mask(frame, face_rect(points, 1.0, 0.0), self.others) if self.others else None
        return SourceFrame(portrait, PasteBack(picture, frame, mask=mask).place, tone)

    def crop_around(self, picture: Picture, points: Array) -> CropFrame:
        """Return the crop around the face in a frame, given its mesh."""
        around = self.models.crop_points(picture, points)
        return frame_around(around, picture.shape, self.models.portrait, self.options)

    def unchanged(self, picture: Picture) -> SourceFrame:
        """Return a frame that is shown unchanged, or cut to its central square if only the face is shown."""

        def place(_: Picture, background: Picture | None) -> Picture:
            if not self.options.face_only:
                return picture if background is None else background
            height, width = picture.shape[:2]
            side = min(height, width)
            top, left = (height - side) // 2, (width - side) // 2
            return fit(picture[top : top + side, left : left + side], self.size[0])

        return SourceFrame(None, place)


@own_settings()
def open_video_sources(
    file: VideoFile,
    models: Models,
    options: CropOptions,
    numbers: Sequence[int | None] = (None,),
    *,
    guess: bool = True,
) -> list[VideoSource]:
    """Find faces in the first frames of a video.

    Args:
        file: The video.
        models: The loaded networks.
        options: How to crop.
        numbers: The faces to use, counted from 0 at the left of the first frame with faces; None for the largest.
        guess: Whether None may choose among several faces of similar size.

    Raises:
        NoFaceError: None of the frames shows a face.
        FaceIndexError: There is no face of a requested number, or a choice is needed.
        OptionError: The box lies outside the picture, an option is only for pictures, or the model has no such set of
            teeth.
    """
    check_teeth(models, options.teeth)
    if options.whole_picture_as_face:
        raise OptionError(
            f"{file.file}: --whole-picture-as-face is for pictures, a video's face is cropped frame by frame"
        )
    n, picture, faces = first_faces(file, models, options)
    shrunk, name = len(picture) / file.size[0], f"{file.file}, frame {n + 1}"
    if not guess and None in numbers:
        _check_sole(faces, name)
    chosen = [choose_face(faces, number, name, shrunk).landmarks for number in numbers]
    squares = [face_rect(points, 1.0, 0.0) for points in chosen]
    side = options.size or models.portrait.crop_size
    height, width = picture.shape[:2]
    size = (side, side) if options.face_only else (height, width)
    return [
        VideoSource(file, models, options, size, n, points, tuple(squares[:m] + squares[m + 1 :]))
        for m, points in enumerate(chosen)
    ]


def first_faces(file: VideoFile, models: Models, options: CropOptions) -> tuple[int, Picture, list[Face]]:
    """Return the first frame of a video that shows faces: its index, its picture, and its faces from left to right.

    Raises:
        NoFaceError: None of the first frames shows a face.
        OptionError: The box lies outside the picture.
    """
    n = -1
    for n, frame in enumerate(islice(steady(read_frames(file.file), file.fps, file.last_seconds), _SEARCH)):
        picture = limit_size(frame.picture, longest_side(options))
        part = part_of(picture, str(file.file), options.box, len(picture) / file.size[0])
        faces = faces_in(picture, part, models.faces, options, thorough=n == 0)
        if faces:
            return n, picture, faces
    if n + 1 < _SEARCH:
        raise NoFaceError(f"{file.file}: no face in its {n + 1} frames; give another video, or say where with --box")
    raise NoFaceError(f"{file.file}: no face in its first {_SEARCH} frames; trim the video so that it begins with one")


def _check_sole(faces: Sequence[Face], name: str) -> None:
    """Refuse to choose among faces of similar size."""
    largest = max(face.size for face in faces)
    rivals = [n for n, face in enumerate(faces) if face.size > _RIVAL * largest]
    if len(rivals) > 1:
        given = " or ".join(f"--face {n}" for n in rivals)
        raise FaceIndexError(f"{name}: shows {len(rivals)} large faces: say which one speaks with {given}")


def bridged(frames: Iterable[TrackedFrame]) -> Iterator[TrackedFrame]:
    """Interpolate the face over short gaps, but not across cuts."""
    before: Array | None = None
    waiting: list[TrackedFrame] = []
    for frame in frames:
        if frame.is_cut:
            yield from waiting
            waiting, before = [], None
        if frame.points is None and before is not None and len(waiting) < _MAX_GAP:
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


def longest_side(options: CropOptions) -> int:
    """Return the longest side of the frames that are rendered."""
    return MAX_SIDE if options.face_only else options.size or MAX_SIDE
