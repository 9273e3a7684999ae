"""Where the inside of a mouth lies in another picture of the same face."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from liveportrait.mini.face_model import FaceModel
from liveportrait.mini.patches import sample
from liveportrait.mini.prior_flow import prior_flow
from liveportrait.mini.regions import LIPS, rows

ALIKE, APART = 0.26, 0.52
"""Radians between two heads' directions up to which a spline maps their mouths, and from which on a plane does."""


def inside_points(face: FaceModel, x_s: Tensor, x_d: Tensor, points: Tensor) -> Tensor:
    """Map positions in a driving mouth to another picture of the face.

    A spline moves edges of lips onto edges of lips. Between a mouth seen from the front and one seen from the side it
    has folds, where the far half nearly vanishes: there the mouth is a plane that turns with the head.

    Args:
        face: The face model.
        x_s: Keypoints in the picture, shape (1, K, 3).
        x_d: Driving keypoints, shape (T, K, 3).
        points: Positions, shape (T, h, w, 2).

    Returns:
        Shape (T, h, w, 2).
    """
    splined = sample(prior_flow(face, x_s, x_d).permute(0, 3, 1, 2), points).permute(0, 2, 3, 1)
    turned = turned_share(face, x_s, x_d)
    return torch.lerp(splined, plane_points(x_s, x_d, points), turned) if turned.any() else splined


def turned_share(face: FaceModel, x_s: Tensor, x_d: Tensor) -> Tensor:
    """Return how much a plane is better than a spline, by the angle between the heads' directions, (T, 1, 1, 1)."""
    ahead, other = (face.pose(x).rotation[:, 2] for x in (x_s, x_d))
    angle = torch.acos((ahead * other).sum(1).clamp(-1, 1))
    return ((angle - ALIKE) / (APART - ALIKE)).clamp(0, 1)[:, None, None, None]


def plane_points(x_s: Tensor, x_d: Tensor, points: Tensor) -> Tensor:
    """Map positions by the affine map that fits the lips best; arguments as in `inside_points`."""
    lips = rows(LIPS)
    known = F.pad(x_d[:, lips, :2], (0, 1), value=1.0)
    matrix = torch.linalg.lstsq(known, x_s[:, lips, :2].expand(len(x_d), -1, -1)).solution
    return F.pad(points, (0, 1), value=1.0) @ matrix[:, None]
