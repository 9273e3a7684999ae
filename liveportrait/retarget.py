"""Measure openness ratios, and post-process composed keypoints: scale, lips, eyes, stitching, strength."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from liveportrait.compose import MotionRules, compose
from liveportrait.errors import LandmarksNeededError
from liveportrait.hull import hull_volume
from liveportrait.keypoints import transform_keypoints
from liveportrait.motion import Motion
from liveportrait.regions import OpennessPoints, Regions

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


@dataclass(frozen=True)
class RetargetContext:
    """Properties of a whole animation that each of its parts needs.

    Attributes:
        source_is_video: Whether the source is a video.
        driving_is_video: Whether the driver is a video.
        x_first: Composed keypoints of frame 0 before retargeting, shape (1, K, 3).
        source_eye_ratio: Eye openness of source frame 0, shape (1, 2), or None.
    """

    source_is_video: bool
    driving_is_video: bool
    x_first: Tensor
    source_eye_ratio: Tensor | None = None


def retarget(
    model: Retargeter,
    x_s: Tensor,
    source: Motion,
    x: Tensor,
    target: Motion,
    rules: MotionRules,
    context: RetargetContext,
) -> Tensor:
    """Convert composed keypoints to driving keypoints.

    Args:
        model: S, R_eyes and R_lip.
        x_s: Source keypoints, shape (1 or T, K, 3).
        source: The source's own motion; its openness ratios are needed if lips or eyes are retargeted.
        x: Composed keypoints, shape (T, K, 3).
        target: Composed motion with the driver's openness ratios.
        rules: Retargeting settings.
        context: The animation that these frames belong to.

    Returns:
        x_d, shape (T, K, 3).

    Raises:
        LandmarksNeededError: A setting needs openness ratios that a motion does not have.

    Source: LivePortrait §3.3; upstream `src/live_portrait_pipeline.py`, execute.
    """
    if rules.relative and rules.friendly == "expression" and context.driving_is_video and not context.source_is_video:
        x = rescale(x_s, x, context.x_first)
    if rules.retarget_eyes or rules.retarget_lips:
        # As upstream, discard the composed motion if motion is relative: only eyelids or lips move.
        x = _follow_ratios(model, x_s, source, x_s if rules.relative else x, target, rules)
        x = model.stitching(x_s, x) if rules.stitching else x
    else:
        x = model.stitching(x_s, x) if rules.stitching else x
        x = _normalise(model, x_s, source, x, rules, context)
    return x_s + (x - x_s) * rules.strength


def rescale(x_s: Tensor, x: Tensor, x_first: Tensor) -> Tensor:
    """Apply the motion since frame 0 to the source, scaled by the faces' size ratio (expression-friendly)."""
    return x_s + motion_multiplier(x_s, x_first) * (x - x_first)


def _follow_ratios(
    model: Retargeter, x_s: Tensor, source: Motion, x: Tensor, target: Motion, rules: MotionRules
) -> Tensor:
    if rules.retarget_eyes:
        # Both eyes follow the driver's left one, as upstream does.
        wanted = _ratio(target, "eye_ratio")[:, :1]
        x = x + model.retarget_eyes(x_s, _ratio(source, "eye_ratio"), wanted)
    if rules.retarget_lips:
        x = x + model.retarget_lip(x_s, _ratio(source, "lip_ratio"), _ratio(target, "lip_ratio"))
    return x


def _normalise(
    model: Retargeter, x_s: Tensor, source: Motion, x: Tensor, rules: MotionRules, context: RetargetContext
) -> Tensor:
    if rules.normalize_lips and rules.relative:
        ratio = _ratio(source, "lip_ratio")
        closing = model.retarget_lip(x_s, ratio, torch.zeros_like(ratio))
        x = x + torch.where((ratio >= CLOSED_LIP_RATIO)[..., None], closing, torch.zeros_like(closing))
    if rules.open_source_eyes and context.source_is_video:
        if context.source_eye_ratio is None:
            raise ValueError("open_source_eyes needs the eye ratio of source frame 0")
        first = float(context.source_eye_ratio.mean())
        wanted = x.new_full((1, 1), OPEN_EYE_RATIO if first < SHUT_EYE_RATIO else first)
        x = x + model.retarget_eyes(x_s, _ratio(source, "eye_ratio"), wanted)
    return x


def _ratio(motion: Motion, name: str) -> Tensor:
    value = getattr(motion, name)
    if value is None:
        raise LandmarksNeededError(f"this motion has no {name}; it was read without landmarks")
    return value


def drive(
    model: Retargeter, x_c: Tensor, source: Motion, driving: Motion, rules: MotionRules, regions: Regions
) -> Tensor:
    """Compose, pose and retarget a whole sequence at once.

    Args:
        model: S, R_eyes and R_lip.
        x_c: Canonical keypoints of the source, shape (1 or T, K, 3).
        source: The source's own motion, one frame for a picture.
        driving: The driver's motion, one frame for a picture.
        rules: Composition and retargeting settings.
        regions: Keypoint sets of the model.

    Returns:
        x_d, shape (T, K, 3).
    """
    composed = compose(source, driving, rules, regions)
    if len(source) > 1:
        x_c, source = x_c[: len(composed)], source[: len(composed)]
    x = transform_keypoints(x_c, composed)
    context = RetargetContext(
        len(source) > 1, len(driving) > 1, x[:1], None if source.eye_ratio is None else source.eye_ratio[:1]
    )
    return retarget(model, transform_keypoints(x_c, source), source, x, composed, rules, context)


def drive_animal(model: Retargeter, x_s: Tensor, x: Tensor, stitching: bool, strength: float) -> Tensor:
    """Convert keypoints composed for the animal model to driving keypoints.

    Args:
        model: S.
        x_s: Source keypoints, shape (1, K, 3).
        x: Composed keypoints, shape (T, K, 3).
        stitching: Whether to keep the crop's border still with S.
        strength: Factor on the keypoints' displacement from the source.

    Returns:
        x_d, shape (T, K, 3).

    Source: upstream `src/live_portrait_pipeline_animal.py`, where rescaling is always on.
    """
    x = rescale(x_s, x, x[:1])
    x = model.stitching(x_s, x) if stitching else x
    return x_s + (x - x_s) * strength
