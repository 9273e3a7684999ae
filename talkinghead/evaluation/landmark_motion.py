"""Pose, expression and gaze of a face, read from its landmarks alone: the same judge for every model's pictures."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from liveportrait import Crop, LivePortrait, Motion, PortraitModel
from liveportrait.keypoints import euler_degrees
from liveportrait.mini.face_model import FaceModel, embedded_face_model
from liveportrait.mini.gaze import EYEBALL_RADIUS
from liveportrait.mini.regions import KEYPOINTS, LEFT_EYE_CORNERS, LEFT_IRIS, RIGHT_EYE_CORNERS, RIGHT_IRIS, rows
from talkinghead.evaluation import metrics
from talkinghead.evaluation.metrics import Points

FACE_FIGURES = ("aed", "apd deg", "gaze deg", "landmarks", "lips")


def face_figures(found: Points | None, points: Points, side: int) -> dict[str, float]:
    """Compare the landmarks found in a generated picture with those that it should show.

    Args:
        found: In pixels, shape (478, 3), or None where no face was found.
        points: What they should be, shape (478, 3).
        side: Longer side of the pictures.

    Returns:
        AED, mean absolute difference of the expression in units of the head; APD, mean absolute difference of the pose
        angles in degrees; gaze error, mean absolute difference of both eyes' directions in degrees; distances of all
        landmarks and of the outer lips over that of the eyes. NaN where no face was found. Lower is better.

    Source: Guo et al., "LivePortrait", 2024, Sec. 4.1. There AED and APD come from SMIRK, here from the linear face
        model of `mini`.
    """
    if found is None:
        return dict.fromkeys(FACE_FIGURES, np.nan)
    mine, real = (landmarks_motion(each, side) for each in (found, points))
    gaze = [gaze_degrees(each) for each in (found, points)]
    return motion_distance(mine, real) | {
        "gaze deg": float(np.abs(gaze[0] - gaze[1]).mean()),
        "landmarks": float(metrics.landmark_distance(found, points)),
        "lips": float(metrics.lip_distance(found, points)),
    }


def landmarks_motion(points: Points, side: int) -> Motion:
    """Read pose and expression from landmarks in pixels, shape (478, 3), of pictures whose longer side is given."""
    scaled = np.concatenate([points[:, :2] / side * 2 - 1, points[:, 2:] / side * 2], 1)
    return _reader().extract(Crop(torch.zeros(1, 3, 1, 1), torch.from_numpy(scaled)[None].float()))


def motion_distance(mine: Motion, real: Motion) -> dict[str, float]:
    """Return the AED and the APD of one frame's motion, see `face_figures`."""
    angles = [torch.cat(euler_degrees(motion.rotation)) for motion in (mine, real)]
    return {
        "aed": float((mine.expression - real.expression).abs().mean()),
        "apd deg": float((angles[0] - angles[1]).abs().mean()),
    }


def turn_degrees(source: Points, points: Points) -> float:
    """Return by how many degrees a head turned from one frame to another, about whatever axis."""
    first, second = (landmarks_motion(each, 1).rotation[0] for each in (source, points))
    cosine = (torch.trace(first.T @ second) - 1) / 2
    return float(torch.rad2deg(torch.arccos(cosine.clamp(-1, 1))))


def pose_degrees(points: Points) -> NDArray[np.float32]:
    """Return pitch, yaw and roll of T heads in degrees, shape (T, 3), from landmarks (T, 478, 3)."""
    rotations = torch.cat([landmarks_motion(each, 1).rotation for each in points])
    return torch.stack([angle.flatten() for angle in euler_degrees(rotations)], 1).numpy()


def gaze_degrees(points: Points) -> NDArray[np.float32]:
    """Estimate where each eye looks in the head, (right, down) in degrees, shape (2, 2), from landmarks (478, 3).

    An iris is as far from the middle of its eye's corners as an eyeball of 24 mm turns it.
    """
    face = embedded_face_model()
    head = _in_head(face, torch.from_numpy(np.asarray(points, np.float32)[list(KEYPOINTS)])[None])[0]
    shifts = [
        head[rows(iris)].mean(0) - head[rows(corners)].mean(0) - _usual(face, iris, corners)
        for iris, corners in ((LEFT_IRIS, LEFT_EYE_CORNERS), (RIGHT_IRIS, RIGHT_EYE_CORNERS))
    ]
    return np.degrees(np.arcsin(np.clip(torch.stack(shifts)[:, :2].numpy() / EYEBALL_RADIUS, -1, 1)))


@cache
def _reader() -> PortraitModel:
    """Load the model that reads motion from landmarks, once."""
    return LivePortrait.from_pretrained("mini")


def _usual(face: FaceModel, iris: tuple[int, ...], corners: tuple[int, ...]) -> torch.Tensor:
    return face.mean[rows(iris)].mean(0) - face.mean[rows(corners)].mean(0)


def _in_head(face: FaceModel, points: torch.Tensor) -> torch.Tensor:
    return face.to_head(points, face.pose(points))
