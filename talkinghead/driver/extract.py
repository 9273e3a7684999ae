"""Watch a face: follow it from picture to picture and read its motion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import torch

from liveportrait import Crop, Motion
from talkinghead.driver.resample import interpolate
from talkinghead.errors import VideoError
from talkinghead.face import (
    CropFrame,
    CropRule,
    FaceDetector,
    FaceTracker,
    NoFaceError,
    cut,
    frame_face,
    landmarks_in_crop,
)
from talkinghead.face.crop import Array
from talkinghead.face.optical_flow import optical_flow
from talkinghead.media.image import Picture
from talkinghead.media.timing import positions
from talkinghead.media.video import VideoFile, VideoFrame
from talkinghead.models import Models

_BATCH = 16
"""Driving faces that are read at a time."""

_DENSE_RESIDUAL_SIDE = 256
"""Side of the crops from which skin is read."""

_PATIENCE = Fraction(1)
"""Seconds without a face after which a shell reports the gap; shorter ones are bridged silently."""

TrackedFace = tuple[Picture, Array]
"""A picture and the face-mesh points of the face in it, shape (478, 3)."""


class FaceMotionExtractor:
    """Reads motion through a crop that stays where the first face was, so that a head's shift is seen."""

    def __init__(self, models: Models, rule: CropRule, *, dense_residual: bool = False) -> None:
        """Start with nothing seen.

        Args:
            models: What reads motion.
            rule: How the crop is laid around the first face.
            dense_residual: Whether skin is read too, against the first face.
        """
        self._models, self._dense_residual = models, dense_residual and models.portrait.reads_dense_residual
        self._looks = self._dense_residual or not models.portrait.extracts_from_landmarks
        self._rule = replace(rule, size=_DENSE_RESIDUAL_SIDE) if self._dense_residual else rule
        self._place: CropFrame | None = None
        self._first: Crop | None = None

    def read(self, faces: Iterable[TrackedFace]) -> Iterator[Motion]:
        """Yield the motion of faces, batch by batch; of the pictures no more than crops are kept, if that."""
        crops: list[Crop] = []
        for picture, points in faces:
            crops.append(self._crop(picture, points))
            if len(crops) == _BATCH:
                yield self._motion(crops)
                crops = []
        if crops:
            yield self._motion(crops)

    def read_one(self, picture: Picture, points: Array) -> Motion:
        """Return the motion of one face, one frame."""
        return self._motion([self._crop(picture, points)])

    def _motion(self, crops: list[Crop]) -> Motion:
        images = torch.cat([crop.image for crop in crops])
        landmarks = torch.cat([crop.landmarks for crop in crops if crop.landmarks is not None])
        seen = Crop(images, landmarks).to(self._models.device)
        with torch.inference_mode():
            motion = self._models.portrait.extract(seen)
            if self._dense_residual:
                self._first = self._first or seen[:1]
                motion = replace(
                    motion, dense_residual=self._models.portrait.read_dense_residual(self._first, seen, optical_flow)
                )
        return motion.to("cpu")

    def _crop(self, picture: Picture, points: Array) -> Crop:
        self._place = self._place or frame_face(points, self._rule)
        image = torch.zeros(1, 3, 0, 0, dtype=torch.float32)
        if self._looks:
            image = torch.from_numpy(cut(picture, self._place, smooth=False)).permute(2, 0, 1)[None].float() / 255
        return Crop(image, torch.from_numpy(landmarks_in_crop(points, self._place))[None])


class ExtractedMotion(NamedTuple):
    """What was seen in a driving video.

    Attributes:
        motion: T frames at the rate asked for.
        num_frames: How many frames the video has.
        notes: What a user should know about it.
    """

    motion: Motion
    num_frames: int
    notes: tuple[str, ...]


def extract_video(
    video: VideoFile,
    frames: Iterable[VideoFrame],
    models: Models,
    rule: CropRule,
    fps: Fraction | None,
    *,
    dense_residual: bool,
) -> ExtractedMotion:
    """Read the motion of a driving video, in constant memory but for the motion itself.

    Args:
        video: The file.
        frames: Its frames, or the part of them that drives.
        models: What reads motion.
        rule: How its face is cropped.
        fps: Frames a second to come out; the video's own unless given.
        dense_residual: Whether skin is read too.

    Raises:
        VideoError: There are no frames.
        NoFaceError: None of them shows a face.
    """
    times: list[Fraction] = []
    seen: list[int] = []
    parts = list(
        FaceMotionExtractor(models, rule, dense_residual=dense_residual).read(_faces(frames, models.faces, times, seen))
    )
    if not times:
        raise VideoError(f"{video.file}: no frames in the part that --trim chooses")
    if not parts:
        raise NoFaceError(f"{video.file}: no face in any of its {len(times)} frames; give a video of one face")
    motion = interpolate(Motion.cat(parts), positions(times, seen, fps or video.fps))
    return ExtractedMotion(motion, len(times), _notes(str(video.file), times, seen))


def _faces(
    frames: Iterable[VideoFrame], detector: FaceDetector, times: list[Fraction], seen: list[int]
) -> Iterator[TrackedFace]:
    """Follow the face; note every frame's time, and the numbers of those that show it."""
    with closing(FaceTracker(detector)) as tracker:
        for frame in frames:
            points = tracker.track(frame.picture)
            if points is not None:
                seen.append(len(times))
                yield frame.picture, points
            times.append(frame.seconds)


def _notes(name: str, times: list[Fraction], seen: list[int]) -> tuple[str, ...]:
    """Say where the face was out of sight for long."""
    edges = [-1, *seen, len(times)]
    gaps = [(a + 1, b) for a, b in pairwise(edges) if b > a + 1]
    ends = [*times, times[-1]]
    long = [(a, b) for a, b in gaps if ends[b] - times[a] >= _PATIENCE]
    if not long:
        return ()
    lost = sum(b - a for a, b in long)
    return (f"{name}: no face in {lost} of {len(times)} frames, first at {float(times[long[0][0]]):.1f} s: it waits",)
