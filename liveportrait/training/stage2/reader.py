"""Read eyes and lips in a picture with gradients: small networks that find lids and lips in cut-out regions.

Landmark detectors give no gradient. This regression is trained beforehand, on real pictures with known landmarks and on
pictures that the frozen networks make of them, and is frozen while R_eyes and R_lip train. They may please a reader
with what is no eye or mouth, so there are several, and the pictures that these learn from are recoloured and stretched:
readers must find edges, and know eyes and lips that are wider open than those of the data.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liveportrait.official_map import official_map
from liveportrait.retarget import eye_ratio, lip_ratio
from liveportrait.training.faces import (
    EYE_POINTS,
    LEFT_EYE,
    LIP_POINTS,
    OPENINGS,
    RIGHT_EYE,
    draw_colours,
    move_landmarks,
    recolour,
    rows,
    warp,
)
from liveportrait.training.stage1.picture_losses import region

SIDE, MARGIN = 48, 1.5
JITTER, SQUEEZE = 0.02, (0.2, 1.5)
"""While it learns, the reader looks in places that are shifted (a deviation, in units of half the crop) and as if eyes
and lips were less or more open than they are: later it knows only how open the source was."""
STRETCH = (0.75, 1.75)
"""While it learns, pictures are this many times as high."""
NUM_MEMBERS = 3
GROUPS = (LEFT_EYE, RIGHT_EYE, LIP_POINTS)


class Regressor(nn.Module):
    """Finds points in a small square picture.

    Args:
        num_points: How many.
        width: Channels of the first layer.
    """

    def __init__(self, num_points: int, width: int = 24) -> None:
        super().__init__()
        widths = (3, width, 2 * width, 4 * width, 4 * width)
        self.layers = nn.Sequential(*(_layer(a, b) for a, b in itertools.pairwise(widths)))
        self.head = nn.Linear(widths[-1] * (SIDE // 16) ** 2, 2 * num_points)

    def forward(self, picture: Tensor) -> Tensor:
        """Find points (B, N, 2) in pictures (B, 3, 48, 48), in units of half the square."""
        h = self.layers(picture - picture.mean((2, 3), keepdim=True))
        return self.head(h.flatten(1)).unflatten(1, (-1, 2))


def _layer(inputs: int, outputs: int) -> nn.Sequential:
    """Halve a picture. Without normalisation, readers take most shut eyes for half open ones after 2,000 steps."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2, 1), nn.GroupNorm(1, outputs), nn.SiLU())


class OpennessReader(nn.Module):
    """Several networks that find lids, eye corners and lips near where the source has them."""

    def __init__(self) -> None:
        super().__init__()
        self.eye = nn.ModuleList(Regressor(len(LEFT_EYE)) for _ in range(NUM_MEMBERS))
        self.lips = nn.ModuleList(Regressor(len(LIP_POINTS)) for _ in range(NUM_MEMBERS))

    def forward(self, picture: Tensor, near: Tensor) -> Tensor:
        """Find landmarks.

        Args:
            picture: Shape (B, 3, H, W) in [0, 1].
            near: Landmarks of another picture of the head in this pose, which say where to look, shape (B, 20, 2).

        Returns:
            Landmarks POINTS by each of N members, shape (N, B, 20, 2); those that are not of eyes or lips are those of
            `near`.
        """
        found = near.expand(NUM_MEMBERS, *near.shape).clone()
        for points, networks in zip(GROUPS, (self.eye, self.eye, self.lips), strict=True):
            marks = near[:, rows(points)]
            low, high = marks.amin(1), marks.amax(1)
            half = MARGIN * (high - low).amax(1).clamp_min(0.02) / 2
            view = region(picture, marks, MARGIN, SIDE)
            offsets = torch.stack([network(view) for network in networks])
            places = (low + high)[:, None] / 2 + half[:, None, None] * offsets
            found = found.index_copy(2, torch.tensor(rows(points), device=near.device), places.to(found.dtype))
        return found


def varied(pictures: Tensor, landmarks: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Recolour pictures (B, 3, S, S), and make them with their landmarks (B, 20, 2) higher or lower."""
    count, (low, high) = len(pictures), STRETCH
    factor = (low * (high / low) ** torch.rand(count, generator=random)).to(landmarks)
    centre = landmarks.mean(1)
    maps = landmarks.new_zeros(count, 2, 3)
    maps[:, 0, 0], maps[:, 1, 1] = 1.0, 1 / factor
    maps[:, 1, 2] = centre[:, 1] * (1 - 1 / factor)
    colours = draw_colours(count, random).to(pictures)
    return recolour(warp(pictures, maps), colours), move_landmarks(landmarks, maps)


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
    """Return openness as official models measure it, of landmarks (..., 20, 2): eyes (..., 2) and lips (..., 1)."""
    flat, shape, scale = landmarks.reshape(-1, *landmarks.shape[-2:]), landmarks.shape[:-2], official_map()
    eyes, lips = eye_ratio(flat, OPENINGS), lip_ratio(flat, OPENINGS)
    return scale.eye_ratio(eyes).reshape(*shape, 2), scale.lip_ratio(lips).reshape(*shape, 1)


def opened(landmarks: Tensor, part: str, ratio: Tensor) -> Tensor:
    """Move landmarks so that eyes or lips are as open as asked.

    Upper lids, or lower lips and chin, move along the face, from forehead to chin.

    Args:
        landmarks: Shape (B, 20, 2).
        part: "eyes" or "lips".
        ratio: As official models measure it, shape (B, 1).
    """
    moved, (top, chin) = landmarks.clone(), landmarks[:, rows((10, 152))].unbind(1)
    down = F.normalize(chin - top, dim=-1)

    def height(points: tuple[int, int, int, int], ratio: Tensor) -> tuple[Tensor, Tensor]:
        """Return upper minus lower point, and what it should be, each (B, 2)."""
        upper, lower, left, right = landmarks[:, list(points)].unbind(1)
        return upper - lower, -down * ratio * (left - right).norm(dim=-1, keepdim=True)

    if part == "eyes":
        for points in (OPENINGS.left_eye, OPENINGS.right_eye):
            before, after = height(points, official_map().mesh_eye_ratio(ratio))
            moved[:, points[0]] += after - before
    else:
        before, after = height(OPENINGS.lips, official_map().mesh_lip_ratio(ratio))
        moved[:, rows((14, 17, 152))] += (before - after)[:, None]
    return moved


def reader_loss(found: Tensor, real: Tensor) -> Tensor:
    """Mean |difference| of landmarks in units of half the crop, and of openness.

    Args:
        found: By each of N members, shape (N, B, 20, 2).
        real: Shape (B, 20, 2).
    """
    points = rows((*EYE_POINTS, *LIP_POINTS))
    apart = (found[:, :, points] - real[:, points]).abs().mean()
    (eyes, lips), (real_eyes, real_lips) = openness_of(found), openness_of(real)
    return 10 * apart + (eyes - real_eyes).abs().mean() + (lips - real_lips).abs().mean()
