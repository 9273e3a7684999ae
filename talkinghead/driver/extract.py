"""Track a face through pictures and extract its motion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np
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
from talkinghead.face.crop import Array, FaceRect, face_rect
from talkinghead.face.optical_flow import optical_flow
from talkinghead.media.image import Picture
from talkinghead.media.timing import positions
from talkinghead.media.video import VideoFile, VideoFrame
from talkinghead.models import Models
from talkinghead.wording import counted

_BATCH = 16
"""Number of driving frames that are processed at once."""

_DENSE_RESIDUAL_SIDE = 256
"""Side in pixels of the crops from which the dense residual is extracted."""

_PATIENCE = Fraction(1)
"""Gaps without a face of at least this many seconds are reported; all are interpolated."""

TrackedFace = tuple[Picture, Array]
"""A picture and the face-mesh points of its face, shape (478, 3)."""


class FaceMotionExtractor:
    """Extracts motion from crops at the place of the first face, so that shifts of the head are measured."""

    def __init__(
        self, models: Models, rule: CropRule, place: FaceRect | None = None, *, dense_residual: bool = False
    ) -> None:
        """Prepare extraction.

        Args:
            models: The loaded networks.
            rule: How to crop around the first face.
            place: The square to crop instead.
            dense_residual: Whether to extract the dense residual too, relative to the first face.
        """
        self._models, self._dense_residual = models, dense_residual and models.portrait.reads_dense_residual
        self._needs_pixels = self._dense_residual or not models.portrait.extracts_from_landmarks
        self._rule = replace(rule, size=_DENSE_RESIDUAL_SIDE) if self._dense_residual else rule
        self._place = place and CropFrame.around(place, self._rule.size, rotate=False)
        self._first: Crop | None = None

    def read(self, faces: Iterable[TrackedFace]) -> Iterator[Motion]:
        """Yield the motion of faces, batch by batch; keeps crops only, and only if the model needs pixels."""
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
        if self._place is None:
            self._place = frame_face(self._models.crop_points(picture, points), self._rule)
        image = torch.zeros(1, 3, 0, 0, dtype=torch.float32)
        if self._needs_pixels:
            image = torch.from_numpy(cut(picture, self._place, smooth=False)).permute(2, 0, 1)[None].float() / 255
        return Crop(image, torch.from_numpy(landmarks_in_crop(points, self._place))[None])


class ExtractedMotion(NamedTuple):
    """The motion of a driving video.

    Attributes:
        motion: T frames at the requested frame rate.
        num_frames: The number of frames of the video.
        notes: Remarks for the user.
    """

    motion: Motion
    num_frames: int
    notes: tuple[str, ...]


def extract_video(
    video: VideoFile,
    frames: Iterable[VideoFrame],
    models: Models,
    rule: CropRule,
    place: FaceRect | None,
    fps: Fraction | None,
    *,
    dense_residual: bool,
) -> ExtractedMotion:
    """Extract the motion of a driving video, in constant memory except for the motion itself.

    Args:
        video: The file.
        frames: The frames to use.
        models: The loaded networks.
        rule: How to crop the face.
        place: The square to crop instead of one around the first face.
        fps: Frames per second of the motion; None for the video's own.
        dense_residual: Whether to extract the dense residual too.

    Raises:
        VideoError: There are no frames.
        NoFaceError: None of them shows a face.
    """
    times: list[Fraction] = []
    seen: list[int] = []
    extractor = FaceMotionExtractor(models, rule, place, dense_residual=dense_residual)
    parts = list(extractor.read(_faces(frames, models.faces, times, seen)))
    if not times:
        raise VideoError(f"{video.file}: no frames in the part that --trim chooses")
    if not parts:
        raise NoFaceError(
            f"{video.file}: no face in any of its {counted(len(times), 'frame')}; give a video of one face"
        )
    motion = interpolate(Motion.cat(parts), positions(times, seen, fps or video.fps))
    return ExtractedMotion(motion, len(times), _notes(str(video.file), times, seen))


def average_place(frames: Iterable[VideoFrame], models: Models, rule: CropRule) -> FaceRect | None:
    """Return the average square around the face of a video, or None if it shows none.

    Source: upstream `src/utils/cropper.py`, crop_driving_video.
    """
    rects = [
        face_rect(models.crop_points(picture, points), rule.scale, rule.vy_ratio, rule.vx_ratio)
        for picture, points in _faces(frames, models.faces, [], [])
    ]
    if not rects:
        return None
    center = np.mean([rect.center for rect in rects], axis=0, dtype=np.float32)
    return FaceRect(center, float(np.mean([rect.size for rect in rects])), 0.0)


def whole_place(height: int, width: int) -> FaceRect:
    """Return the square around whole pictures."""
    return FaceRect(np.array([width / 2, height / 2], np.float32), float(max(height, width)), 0.0)


def _faces(
    frames: Iterable[VideoFrame], detector: FaceDetector, times: list[Fraction], seen: list[int]
) -> Iterator[TrackedFace]:
    """Track the face; append every frame's time to `times` and the indices of frames that show it to `seen`."""
    with closing(FaceTracker(detector)) as tracker:
        for frame in frames:
            points = tracker.track(frame.picture)
            if points is not None:
                seen.append(len(times))
                yield frame.picture, points
            times.append(frame.seconds)


def _notes(name: str, times: list[Fraction], seen: list[int]) -> tuple[str, ...]:
    """Report long gaps without a face."""
    edges = [-1, *seen, len(times)]
    gaps = [(a + 1, b) for a, b in pairwise(edges) if b > a + 1]
    ends = [*times, times[-1]]
    long = [(a, b) for a, b in gaps if ends[b] - times[a] >= _PATIENCE]
    if not long:
        return ()
    lost = sum(b - a for a, b in long)
    return (f"{name}: no face in {lost} of {len(times)} frames, first at {float(times[long[0][0]]):.1f} s: it waits",)
