"""Read eyes and lips in a picture with gradients: small networks that find lids and lips in cut-out regions.

Landmark detectors give no gradient. This regression is trained beforehand, on real pictures with known landmarks and on
pictures that the frozen networks make of them, and is frozen while R_eyes and R_lip train.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liveportrait.official_map import official_map
from liveportrait.regions import FACE_MESH
from liveportrait.retarget import eye_ratio, lip_ratio
from liveportrait.training.faces import EYE_POINTS, LEFT_EYE, LIP_POINTS, POINTS, RIGHT_EYE, rows
from liveportrait.training.stage1.picture_losses import region

SIDE, MARGIN = 48, 1.5
JITTER, SQUEEZE = 0.02, (0.2, 1.5)
"""While it learns, the reader looks in places that are shifted (a deviation, in units of half the crop) and as if eyes
and lips were less or more open than they are: later it knows only how open the source was."""
GROUPS = (LEFT_EYE, RIGHT_EYE, LIP_POINTS)
_MESH = 478


class Regressor(nn.Module):
    """Finds points in a small square picture.

    Args:
        num_points: How many.
        width: Channels of the first layer.
    """

    def __init__(self, num_points: int, width: int = 24) -> None:
        super().__init__()
        widths = (3, width, 2 * width, 4 * width, 4 * width)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in itertools.pairwise(widths))
        self.head = nn.Linear(widths[-1] * (SIDE // 16) ** 2, 2 * num_points)

    def forward(self, picture: Tensor) -> Tensor:
        """Find points (B, N, 2) in pictures (B, 3, 48, 48), in units of half the square."""
        h = picture - picture.mean((2, 3), keepdim=True)
        for layer in self.layers:
            h = F.silu(layer(h))
        return self.head(h.flatten(1)).unflatten(1, (-1, 2))


class OpennessReader(nn.Module):
    """Finds lids, eye corners and lips near where the source has them, and measures how open they are."""

    def __init__(self) -> None:
        super().__init__()
        self.eye, self.lips = Regressor(len(LEFT_EYE)), Regressor(len(LIP_POINTS))

    def forward(self, picture: Tensor, near: Tensor) -> Tensor:
        """Find landmarks.

        Args:
            picture: Shape (B, 3, H, W) in [0, 1].
            near: Landmarks of another picture of the head in this pose, which say where to look, shape (B, 20, 2).

        Returns:
            Landmarks POINTS; those that are not of eyes or lips are those of `near`.
        """
        found = near.clone()
        for points, network in zip(GROUPS, (self.eye, self.eye, self.lips), strict=True):
            marks = near[:, rows(points)]
            low, high = marks.amin(1), marks.amax(1)
            half = MARGIN * (high - low).amax(1).clamp_min(0.02) / 2
            view = region(picture, marks, MARGIN, SIDE)
            places = (low + high)[:, None] / 2 + half[:, None, None] * network(view)
            found = found.index_copy(1, torch.tensor(rows(points), device=near.device), places.to(found.dtype))
        return found


def misplaced(landmarks: Tensor, random: torch.Generator) -> Tensor:
    """Shift landmarks (B, 20, 2), and change how open eyes and lips are, so that they only say where to look."""
    near = landmarks + JITTER * torch.randn(len(landmarks), 1, 2, generator=random).to(landmarks)
    low, high = SQUEEZE
    for points in GROUPS:
        factor = (low + (high - low) * torch.rand(len(near), 1, generator=random)).to(near)
        height = near[:, rows(points), 1]
        top = height.amin(1, keepdim=True)
        near[:, rows(points), 1] = top + factor * (height - top)
    return near


def openness_of(landmarks: Tensor) -> tuple[Tensor, Tensor]:
    """Return the openness of eyes (B, 2) and lips (B, 1) of landmarks (B, 20, 2), as official models measure it."""
    mesh = landmarks.new_zeros(len(landmarks), _MESH, 2)
    mesh = mesh.index_copy(1, torch.tensor(POINTS, device=landmarks.device), landmarks)
    scale = official_map()
    return scale.eye_ratio(eye_ratio(mesh, FACE_MESH)), scale.lip_ratio(lip_ratio(mesh, FACE_MESH))


def reader_loss(found: Tensor, real: Tensor) -> Tensor:
    """Mean |difference| of landmarks in units of half the crop, and of openness.

    Args:
        found: Shape (B, 20, 2).
        real: Same shape.
    """
    points = rows((*EYE_POINTS, *LIP_POINTS))
    apart = (found[:, points] - real[:, points]).abs().mean()
    (eyes, lips), (real_eyes, real_lips) = openness_of(found), openness_of(real)
    return 10 * apart + (eyes - real_eyes).abs().mean() + (lips - real_lips).abs().mean()
