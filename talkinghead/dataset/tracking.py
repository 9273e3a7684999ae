"""Find in a video the stretches that show one face well, without keeping a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from audio2motion import FRAME_RATE
from liveportrait.mini.regions import KEYPOINTS
from talkinghead.dataset.looks import Looker, Looks
from talkinghead.face import CropFrame, FaceTracker, landmarks_in_crop
from talkinghead.face.crop import FaceRect
from talkinghead.face.mesh import FRAMING
from talkinghead.media.video import VideoFrame, read_frames
from talkinghead.source.video import steady

SIDE = 256
SHORTEST, LONGEST = 30, 250  # frames of a clip
SMALLEST = 80.0  # pixels of the face's longer side, brows to chin
FURTHEST, ZOOM = 0.6, 1.5  # how far a face may move, in units of itself, and how much its size may change
JUMP = 0.35  # movement from one frame to the next that means another shot
ANOTHER_SHOT = 40.0  # mean difference of two frames, in grey levels, that does too
LARGEST_CROP, SMALLEST_CROP = 2.3, 1.5  # side of a crop in units of the face
UP = 0.125  # how far a crop lies above the face's centre, in units of its side

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Stretch:
    """Frames in a row that show one face in one shot.

    Attributes:
        start: First frame, at 25 a second from the video's first one.
        points: Mesh points in pixels of the picture, shape (frames, 162, 3).
        boxes: Left, top, right and bottom of the face, shape (frames, 4).
        size: (height, width) of the picture.
        looks: What was seen of the face.
    """

    start: int
    points: Array
    boxes: Array
    size: tuple[int, int]
    looks: Looks

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True)
class Rejection:
    """What cannot be used, and why.

    Attributes:
        file: The video.
        start: First frame.
        frames: How many.
        reason: One line.
    """

    file: Path
    start: int
    frames: int
    reason: str


def frames_of(file: Path) -> Iterator[VideoFrame]:
    """Decode a video at 25 frames a second, each the nearest one."""
    return steady(read_frames(file), Fraction(FRAME_RATE))


def stretches(file: Path, looker: Looker) -> Iterator[Stretch]:
    """Follow the face through a video; a stretch ends with the shot, with the face, or when it is long enough."""
    tracker, start, before = FaceTracker(), 0, np.zeros((1, 1), np.float32)
    points: list[Array] = []
    boxes: list[Array] = []
    size = 0, 0
    for number, frame in enumerate(frames_of(file)):
        small = _thumbnail(frame)
        cut = before.shape == small.shape and np.abs(small - before).mean() > ANOTHER_SHOT
        before, size = small, (frame.picture.shape[0], frame.picture.shape[1])
        found = tracker.track(frame.picture)
        box = None if found is None else _box(found)
        jumped = box is not None and boxes and _moved(boxes[-1], box) > JUMP
        if points and (found is None or cut or jumped or len(points) == LONGEST):
            yield Stretch(start, np.stack(points), np.stack(boxes), size, looker.finish())
            points, boxes = [], []
        if found is not None and box is not None:
            start = start if points else number
            points.append(found[list(KEYPOINTS)])
            boxes.append(box)
            looker.look(frame.picture, found)
    if points:
        yield Stretch(start, np.stack(points), np.stack(boxes), size, looker.finish())


def _thumbnail(frame: VideoFrame) -> Array:
    return cv2.resize(frame.picture, (32, 32), interpolation=cv2.INTER_AREA).mean(2).astype(np.float32)


def _box(points: Array) -> Array:
    face = points[list(FRAMING), :2]
    return np.concatenate([face.min(0), face.max(0)]).astype(np.float32)


def _moved(before: Array, now: Array) -> float:
    """Return how far a face moved, in units of its size."""
    return float(np.abs(_center(now) - _center(before)).max() / _longer_side(now))


def _center(boxes: Array) -> Array:
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def _longer_side(boxes: Array) -> Array:
    return (boxes[..., 2:] - boxes[..., :2]).max(-1)


def why_not(stretch: Stretch) -> str | None:
    """Say what is wrong with a stretch; None where nothing is."""
    sizes = _longer_side(stretch.boxes)
    usual = float(np.median(sizes))
    if len(stretch) < SHORTEST:
        return f"shorter than {SHORTEST / FRAME_RATE:g} s: {len(stretch) / FRAME_RATE:g} s"
    if usual < SMALLEST:
        return f"the face measures {usual:.0f} pixels, at least {SMALLEST:.0f} are needed"
    away = np.abs(_center(stretch.boxes) - np.median(_center(stretch.boxes), 0)).max() / usual
    if away > FURTHEST:
        return f"the face moves by {away:.1f} of its size, at most {FURTHEST:g}"
    if sizes.max() / sizes.min() > ZOOM:
        return f"the face changes size by a factor of {sizes.max() / sizes.min():.1f}, at most {ZOOM:g}"
    if crop_of(stretch) is None:
        return "the face is too near to the edge of the picture"
    return stretch.looks.why_not()


def crop_of(stretch: Stretch) -> tuple[CropFrame, float] | None:
    """Lay one crop for all frames: as wide as the picture allows, shifted into it, nothing made up.

    Returns:
        The crop and its side in units of the face; None where the face cannot be kept inside.
    """
    face, (height, width) = float(np.median(_longer_side(stretch.boxes))), stretch.size
    lows, highs = stretch.boxes[:, :2].min(0), stretch.boxes[:, 2:].max(0)
    scale = min(LARGEST_CROP, min(height, width) / face)
    side = scale * face
    center = np.median(_center(stretch.boxes), 0) - np.array([0, UP * side])
    center = np.clip(center, side / 2, np.array([width, height]) - side / 2)
    inside = (lows >= center - side / 2).all() and (highs <= center + side / 2).all()
    if scale < SMALLEST_CROP or not inside:
        return None
    return CropFrame.around(FaceRect(center.astype(np.float32), side, 0.0), SIDE), scale


def landmarks_of(stretch: Stretch, frame: CropFrame) -> Array:
    """Map a stretch's points into its crop: pixels of 256, z in the same scale, shape (frames, 162, 3)."""
    flat = landmarks_in_crop(stretch.points.reshape(-1, 3), frame)
    flat[:, :2] += 1
    return (flat * (SIDE / 2)).reshape(stretch.points.shape)
