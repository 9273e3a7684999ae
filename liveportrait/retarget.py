"""Measure openness ratios, and post-process composed keypoints: scale, lips, eyes, stitching, strength."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from liveportrait.driving_rules import DrivingRules
from liveportrait.errors import LandmarksNeededError
from liveportrait.hull import hull_volume
from liveportrait.motion import Motion, Portrait
from liveportrait.regions import OpennessPoints

# Lips with a smaller ratio are treated as closed.
CLOSED_LIP_RATIO = 0.03
# If a source video's eyes start below the first ratio, they are kept at the second.
SHUT_EYE_RATIO, OPEN_EYE_RATIO = 0.18, 0.39


class Retargeter(Protocol):
    """A model with S, R_eyes and R_lip, as modules or methods; shapes as in `liveportrait.modules.stitching`."""

    @property
    def stitching(self) -> Callable[[Tensor, Tensor], Tensor]:
        """S: (x_s, x_d) to x_d stitched, shape (T, K, 3)."""
        ...

    @property
    def retarget_eyes(self) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """R_eyes: (x_s, source ratio, target ratio) to offsets, shape (T, K, 3)."""
        ...

    @property
    def retarget_lip(self) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """R_lip: (x_s, source ratio, target ratio) to offsets, shape (T, K, 3)."""
        ...


def openness(landmarks: Tensor, points: tuple[int, int, int, int]) -> Tensor:
    """Measure the openness of an eye or a mouth in the picture.

    Args:
        landmarks: Shape (T, N, 2 or more); only x and y are used.
        points: Upper, lower, left end and right end of the opening.

    Returns:
        Height over width, shape (T, 1).

    Source: upstream `src/utils/retargeting_utils.py`, calculate_distance_ratio.
    """
    upper, lower, left, right = (landmarks[:, i, :2] for i in points)
    return ((upper - lower).norm(dim=-1) / ((left - right).norm(dim=-1) + 1e-6))[:, None]


def eye_ratio(landmarks: Tensor, points: OpennessPoints) -> Tensor:
    """Measure both eyes (left, right in the picture), shape (T, 2), from landmarks (T, N, 2 or more)."""
    return torch.cat([openness(landmarks, points.left_eye), openness(landmarks, points.right_eye)], 1)


def lip_ratio(landmarks: Tensor, points: OpennessPoints) -> Tensor:
    """Measure the lips, shape (T, 1), from landmarks (T, N, 2 or more)."""
    return openness(landmarks, points.lips)


def motion_multiplier(x_s: Tensor, x_first: Tensor) -> float:
    """Return the size ratio of two faces, sqrt(V(x_s) / V(x_first)) of their convex hulls, each (1, K, 3).

    Source: upstream `src/utils/helper.py`, calc_motion_multiplier.
    """
    return (hull_volume(x_s[0]) / hull_volume(x_first[0])) ** 0.5


def rescale(x_s: Tensor, x: Tensor, x_first: Tensor) -> Tensor:
    """Apply the motion since frame 0 to the source, scaled by the faces' size ratio (expression-friendly)."""
    return x_s + motion_multiplier(x_s, x_first) * (x - x_first)


def finish_keypoints(
    model: Retargeter,
    portrait: Portrait,
    x: Tensor,
    driving: Motion,
    rules: DrivingRules,
    kept_eye_ratio: Tensor | None = None,
) -> Tensor:
    """Convert composed keypoints to driving keypoints: openness, stitching, closed lips, strength.

    Args:
        model: S, R_eyes and R_lip.
        portrait: The portrait.
        x: Composed keypoints, shape (T, K, 3).
        driving: The driver's motion with its openness ratios.
        rules: Which parts of the face follow the driver, and how.
        kept_eye_ratio: The eye openness to keep, shape (1, 1), for a source video.

    Returns:
        x_d, shape (T, K, 3).

    Raises:
        LandmarksNeededError: Lips or eyes are retargeted, and the portrait or the driver has no ratios.

    Source: LivePortrait §3.3; upstream `src/live_portrait_pipeline.py`, execute. Upstream discards relative motion if
    eyes or lips are retargeted; here `rules.replace` asks for that, and otherwise retargeting adds to the motion.
    """
    x_s = portrait.x_s
    replaced = rules.replace and (rules.retarget_eyes or rules.retarget_lips)
    x = x_s.expand_as(x) if replaced and rules.relative else x
    x = x + _driven_openness(model, portrait, driving, rules)
    x = model.stitching(x_s, x) if rules.stitching else x
    if not replaced:
        x = x + _own_openness(model, portrait, rules, kept_eye_ratio)
    return x_s + (x - x_s) * rules.strength


def _driven_openness(model: Retargeter, portrait: Portrait, driving: Motion, rules: DrivingRules) -> Tensor:
    """Return the offsets that open eyes and lips as far as the driver's, shape (T or 1, K, 3)."""
    x_s, source = portrait.x_s, portrait.motion
    offset = torch.zeros_like(x_s)
    if rules.retarget_eyes and rules.eyes:
        own = needed_ratio(source.eye_ratio)
        # Both eyes follow the driver's left one, as upstream does.
        left, wanted = own[:, :1], needed_ratio(driving.eye_ratio)[:, :1]
        offset = offset + model.retarget_eyes(x_s, own, left + rules.eyes * (wanted - left))
    if rules.retarget_lips and rules.lips:
        own, wanted = needed_ratio(source.lip_ratio), needed_ratio(driving.lip_ratio)
        offset = offset + model.retarget_lip(x_s, own, own + rules.lips * (wanted - own))
    return offset


def _own_openness(model: Retargeter, portrait: Portrait, rules: DrivingRules, kept_eye_ratio: Tensor | None) -> Tensor:
    """Return the offsets that close the portrait's open lips and keep a video's eyes open, shape (T or 1, K, 3)."""
    x_s, source = portrait.x_s, portrait.motion
    offset = torch.zeros_like(x_s)
    lips = source.lip_ratio
    if rules.normalize_lips and rules.relative and rules.lips and not rules.retarget_lips and lips is not None:
        closing = model.retarget_lip(x_s, lips, torch.zeros_like(lips))
        offset = offset + closing * (lips >= CLOSED_LIP_RATIO)[..., None]
    if kept_eye_ratio is not None and not rules.retarget_eyes:
        offset = offset + model.retarget_eyes(x_s, needed_ratio(source.eye_ratio), kept_eye_ratio)
    return offset


def eye_ratio_to_keep(first: Tensor) -> Tensor:
    """Return the openness at which a source video's eyes are kept.

    Args:
        first: Eye openness of its first frame, shape (1, 2).

    Returns:
        Their mean, or a usual openness if they are shut, shape (1, 1).
    """
    mean = first.mean(1, keepdim=True)
    return torch.where(mean < SHUT_EYE_RATIO, OPEN_EYE_RATIO, mean)


def needed_ratio(value: Tensor | None) -> Tensor:
    """Return an openness ratio that must be there.

    Raises:
        LandmarksNeededError: It was not measured.
    """
    if value is None:
        raise LandmarksNeededError(
            "openness was asked for, but this face was read without landmarks; animals have none"
        )
    return value
