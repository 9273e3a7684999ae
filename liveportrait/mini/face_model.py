"""Linear face model: pose and expression from landmarks; lip and eyelid retargeting (R_lip, R_eyes)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from torch import Tensor, nn

from liveportrait.keypoints import handedness
from liveportrait.mini.regions import (
    JAW,
    KEYPOINTS,
    LEFT_EYE_CORNERS,
    LEFT_LID_PAIRS,
    LIP_PAIRS,
    LIPS_INNER,
    LIPS_OUTER,
    MOUTH_CORNERS,
    RIGHT_EYE_CORNERS,
    RIGHT_LID_PAIRS,
    RIGID,
    rows,
)

MIN_SPREAD = 1e-6
OPEN_GAP = 0.1
"""Gap in the head frame, about the mean face's, from which open lips have to be brought together in full."""
WIDE_GAP, WIDEST_GAP = 0.25, 0.7
JAW_LIFT = 0.9
"""How much further the jaw of a mouth with the widest gap rises than speech lifts it; nothing up to the wide one."""

FIRMNESS = 0.02
"""Regularisation of `most_likely`."""
MOST_LACKING = 1.5
"""Largest factor by which a change of the gaps is increased, because likely faces do not quite reach it."""


class HeadPose(NamedTuple):
    """Similarity of a head: x = s (y R) + t.

    Attributes:
        scale: s, shape (T, 1).
        rotation: R, shape (T, 3, 3).
        translation: t, shape (T, 3).
    """

    scale: Tensor
    rotation: Tensor
    translation: Tensor


def fit_similarity(template: Tensor, points: Tensor) -> HeadPose:
    """Fit the least-squares similarity from a template to points.

    Args:
        template: Shape (N, 3) or (T, N, 3).
        points: Shape (T, N, 3).

    Returns:
        Pose with points ≈ s (template R) + t.

    Source: Umeyama, "Least-squares estimation of transformation parameters", 1991, Eq. 40-42.
    """
    template = template.expand_as(points)
    from_mean, to_mean = template.mean(1, keepdim=True), points.mean(1, keepdim=True)
    a, b = template - from_mean, points - to_mean
    u, singular, vt = torch.linalg.svd(a.transpose(1, 2) @ b)
    sign = torch.ones_like(singular)
    sign[:, 2] = handedness(u @ vt)
    rotation = (u * sign[:, None]) @ vt
    scale = (singular * sign).sum(1) / a.square().sum((1, 2)).clamp_min(MIN_SPREAD)
    translation = to_mean[:, 0] - scale[:, None] * (from_mean @ rotation)[:, 0]
    return HeadPose(scale[:, None], rotation, translation)


class FaceModel(nn.Module):
    """Linear face model learned from the training tracks. Points are in the head frame: upright, frontal, unit scale.

    Attributes:
        mean: Mean face at rest, shape (K, 3).
        expression_basis: Displacement per standard deviation, shape (C, K, 3), mouth components first.
        lip_response: Displacement per unit change of a lip pair's gap, shape (pairs, K, 3).
        lid_response: The same for the eyelid pairs, left eye first, shape (2 · pairs, K, 3).
    """

    mean: Tensor
    expression_basis: Tensor
    lip_response: Tensor
    lid_response: Tensor

    def __init__(self, num_mouth: int = 16, num_brows: int = 6) -> None:
        super().__init__()
        num_points, num_lids = len(KEYPOINTS), len(LEFT_LID_PAIRS) + len(RIGHT_LID_PAIRS)
        self.num_mouth = num_mouth
        self.register_buffer("mean", torch.zeros(num_points, 3, dtype=torch.float32))
        self.register_buffer("expression_basis", torch.zeros(num_mouth + num_brows, num_points, 3, dtype=torch.float32))
        self.register_buffer("lip_response", torch.zeros(len(LIP_PAIRS), num_points, 3, dtype=torch.float32))
        self.register_buffer("lid_response", torch.zeros(num_lids, num_points, 3, dtype=torch.float32))

    def pose(self, points: Tensor, keypoints: tuple[int, ...] = KEYPOINTS) -> HeadPose:
        """Fit the head pose to the rigid points of the skull.

        Args:
            points: Shape (T, N, 3), any unit.
            keypoints: Mesh indices of the N points.
        """
        return fit_similarity(self.mean[rows(RIGID)], points[:, rows(RIGID, keypoints)])

    @staticmethod
    def to_head(points: Tensor, pose: HeadPose) -> Tensor:
        """Transform points (T, N, 3) into the head frame."""
        return ((points - pose.translation[:, None]) / pose.scale[:, None]) @ pose.rotation.transpose(1, 2)

    def express(self, coefficients: Tensor) -> Tensor:
        """Convert expression coefficients (T, C) to displacements in the head frame, (T, K, 3)."""
        return torch.einsum("tc,ckd->tkd", coefficients, self.expression_basis)

    def lip_gaps(self, points: Tensor) -> Tensor:
        """Measure the vertical gaps between the inner lips: (T, K, 3) in the head frame → (T, pairs)."""
        return _gaps(points, LIP_PAIRS)

    def lid_gaps(self, points: Tensor) -> Tensor:
        """Measure the gaps between the eyelids, shape (T, 2 · pairs), left eye first."""
        return _gaps(points, LEFT_LID_PAIRS + RIGHT_LID_PAIRS)

    def move_lips(self, points: Tensor, gaps: Tensor) -> Tensor:
        """Move lips and jaw so that the inner lips have the given gaps (R_lip in closed form).

        Args:
            points: Shape (T, K, 3) in the head frame.
            gaps: Target gaps, shape (T, pairs).

        Returns:
            Displacement, shape (T, K, 3): the most likely face motion with exactly these gaps.
        """
        return torch.einsum("tp,pkd->tkd", gaps - self.lip_gaps(points), self.lip_response)

    def close_lips(self, points: Tensor) -> Tensor:
        """Close open lips: the inner lips meet in height, and in width and depth too.

        The jaw of an open mouth stands back and often aside. Lips with no gap in the head frame would still look parted
        in a head that nods or in a mouth that was opened askew. `move_lips` was learned from speech, in which lips do
        half of the work; a mouth that is opened wider, as in a scream, is opened by the jaw.

        Args:
            points: Shape (T, K, 3) in the head frame.

        Returns:
            Points with closed lips, shape (T, K, 3); closed lips stay as they are.
        """
        gaps = self.lip_gaps(points)
        closed = points + self.move_lips(points, torch.zeros_like(gaps))
        upper, lower = (rows(side) for side in zip(*LIP_PAIRS, strict=True))
        gap = gaps.amax(1)[:, None, None]
        lift = JAW_LIFT * ((gap - WIDE_GAP) / (WIDEST_GAP - WIDE_GAP)).clamp(0, 1)
        jaw = rows(JAW)
        closed[:, jaw] += lift * (closed - points)[:, jaw]
        opened = (gap / OPEN_GAP).clamp(0, 1)
        half = 0.5 * opened * (closed[:, lower] - closed[:, upper]) * points.new_tensor([1.0, 0.0, 1.0])
        for lips in (LIPS_INNER, LIPS_OUTER):
            closed[:, rows(lips[1:10])] += half
            closed[:, rows(lips[:10:-1])] -= half
        return closed

    def part_lips(self, points: Tensor, kept: Tensor, more: Tensor) -> Tensor:
        """Close or open the lips with a displacement that faces make.

        `move_lips` reaches each gap exactly, with whatever displacement that takes: smiles and crooked mouths that open
        wide are torn apart.

        Args:
            points: Shape (T, K, 3) in the head frame.
            kept: Share of the openness that stays, shape (T, 1): 0 closes the lips, 1 leaves them as they are.
            more: What is then added to the gaps, shape (T, pairs); the sum of the gaps is nearly reached.

        Returns:
            The moved points, shape (T, K, 3).
        """
        basis = self.expression_basis[: self.num_mouth]
        moved = most_likely(basis, self.lip_gaps(basis), more)
        reached = self.lip_gaps(moved).sum(1).clamp_min(MIN_SPREAD)
        moved = moved * (more.sum(1) / reached).clamp(1, MOST_LACKING)[:, None, None]
        return torch.lerp(self.close_lips(points), points, kept[:, None]) + moved

    def move_lids(self, points: Tensor, gaps: Tensor) -> Tensor:
        """Move the eyelids to the given gaps (R_eyes in closed form); shapes as in `move_lips`."""
        return torch.einsum("tp,pkd->tkd", gaps - self.lid_gaps(points), self.lid_response)


def most_likely(basis: Tensor, response: Tensor, target: Tensor, firmness: float = FIRMNESS) -> Tensor:
    """Return the most likely displacement that changes some measures of the face as asked.

    Args:
        basis: Displacement per standard deviation of each of C components, shape (C, K, 3).
        response: Change of the M measures per standard deviation, shape (C, M).
        target: The change asked for in each of T frames, shape (T, M); likely faces come near it.
        firmness: A smaller value reaches what is asked more exactly, a larger one keeps the face more likely.

    Returns:
        Shape (T, K, 3).
    """
    normal = response @ response.T / firmness**2 + torch.eye(len(response)).to(response)
    coefficients = torch.linalg.solve(normal, response @ target.T / firmness**2).T
    return torch.einsum("tc,ckd->tkd", coefficients, basis)


def lip_ratio(points: Tensor) -> Tensor:
    """Return the lip openness, mid inner lip distance over mouth width: (T, K, 3) → (T, 1)."""
    width = _distance(points, *MOUTH_CORNERS)
    return (_distance(points, 13, 14) / width.clamp_min(MIN_SPREAD))[:, None]


def eye_ratio(points: Tensor) -> Tensor:
    """Return the eye openness (left, right), mid eyelid distance over eye width: (T, K, 3) → (T, 2)."""
    left = _distance(points, 159, 145) / _distance(points, *LEFT_EYE_CORNERS).clamp_min(MIN_SPREAD)
    right = _distance(points, 386, 374) / _distance(points, *RIGHT_EYE_CORNERS).clamp_min(MIN_SPREAD)
    return torch.stack([left, right], 1)


def _gaps(points: Tensor, pairs: tuple[tuple[int, int], ...]) -> Tensor:
    upper, lower = zip(*pairs, strict=True)
    return points[:, rows(lower), 1] - points[:, rows(upper), 1]


def _distance(points: Tensor, first: int, second: int) -> Tensor:
    a, b = rows((first, second))
    return (points[:, a, :2] - points[:, b, :2]).norm(dim=-1)


def mirror_order(mean: Tensor) -> list[int]:
    """Return the index of each point's mirror image in a symmetric face (K, 3)."""
    twin = mean * torch.tensor([-1.0, 1.0, 1.0]).to(mean)
    return torch.cdist(twin, mean).argmin(1).tolist()


@cache
def embedded_face_model() -> FaceModel:
    """Return the face model of the weights that ship, in float32 on the CPU."""
    with safe_open(Path(__file__).parent / "weights" / "model.safetensors", framework="pt") as file:
        names = [name for name in file.keys() if name.startswith("face.")]  # noqa: SIM118 (not a dict)
        tensors = {name.removeprefix("face."): file.get_tensor(name) for name in names}
    num_mouth = FaceModel().num_mouth
    face = FaceModel(num_mouth, len(tensors["expression_basis"]) - num_mouth)
    face.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return face
