"""Pictures of open mouths, bent shut: how the open mouth looks is then known exactly, even from a single picture."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from liveportrait.mini.face_model import FaceModel
from liveportrait.mini.patches import sample
from liveportrait.mini.prior_flow import closing_flow
from liveportrait.mini.raster import pixel_grid, polygon_masks
from liveportrait.mini.regions import LIPS_INNER, rows

SOFTNESS = 0.012  # of the inside's edge, in units of half the picture
SPREAD, REACH = 9, 4  # pixels of a step, and steps, in which colours spread over the inside


def shut_mouths(face: FaceModel, pictures: Tensor, points: Tensor, seam: Tensor) -> tuple[Tensor, Tensor]:
    """Bend open mouths shut, lips and jaw.

    What was inside is covered with colours from around it first: what is left of it between the lips would tell what to
    paint when they open again.

    Args:
        face: Says how lips and jaw close.
        pictures: Square, shape (T, 3, S, S).
        points: Keypoints, shape (T, K, 3).
        seam: How bright the line between the shut lips is, over what is around it, shape (T,).

    Returns:
        Pictures and keypoints of the shut mouths.
    """
    side, shut = pictures.shape[-1], shut_points(face, points)
    inside = F.max_pool2d(polygon_masks([points[:, rows(LIPS_INNER), :2]], side, SOFTNESS), 3, 1, 1)
    covered = torch.lerp(pictures, spread(pictures, 1 - inside) * seam[:, None, None, None], inside)
    return sample(covered, closing_flow(points, shut, pixel_grid(side, side))), shut


def shut_points(face: FaceModel, points: Tensor) -> Tensor:
    """Return keypoints (T, K, 3) with the lips shut and the jaw up."""
    pose = face.pose(points)
    head = face.to_head(points, pose)
    shift = face.move_lips(head, face.lip_gaps(head).clamp_max(0))
    return points + pose.scale[:, None] * (shift @ pose.rotation)


def spread(pictures: Tensor, outside: Tensor) -> Tensor:
    """Spread the colours from outside over the inside, step by step."""
    spread, known = pictures * outside, outside
    for _ in range(REACH):
        spread, known = (_averaged(part) for part in (spread, known))
        spread, known = spread / known.clamp_min(1e-6), (known > 1e-3).float()
        spread = torch.lerp(spread * known, pictures, outside)
    return spread


def _averaged(parts: Tensor) -> Tensor:
    """Average pictures over squares of side `SPREAD`, along columns and then along rows, which is faster."""
    columns = F.avg_pool2d(parts, (SPREAD, 1), 1, (SPREAD // 2, 0))
    return F.avg_pool2d(columns, (1, SPREAD), 1, (0, SPREAD // 2))
