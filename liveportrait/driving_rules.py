"""How a portrait follows a driver: which parts of the face, how far, and measured against what."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from liveportrait.compose import Friendly
from liveportrait.motion import Motion

FRONTAL_DEG = 15.0
"""Degrees of turn that count as much against a neutral frame as lips that are open by OPEN_LIPS."""
OPEN_LIPS = 0.08
HALF_SHUT = 0.25
"""Share of the usual openness by which eyes may be shut at the same cost."""
USUAL_FACE = 0.04
"""Distance of the expression from the video's usual one that costs the same, in units of the head."""


@dataclass(frozen=True)
class DrivingRules:
    """How driving motion reaches a portrait. Nothing has a default here; the options of the shell hold them.

    Attributes:
        head: Factor on the turn, shift and size of the head; 0 leaves the head as it is.
        lips: Factor on the motion of lips and jaw.
        eyes: Factor on the motion of lids and eyeballs.
        brows: Factor on the motion of the brows.
        face: Factor on the motion of the rest of the face.
        relative: Whether the driver's change since its anchor counts, instead of its own pose and openness.
        retarget_eyes: Whether the lids open as far as the driver's, instead of in proportion.
        retarget_lips: Whether the lips open as far as the driver's, instead of as far as its change opens them.
        replace: Whether retargeting discards all other motion, as upstream does, instead of adding to it.
        normalize_lips: Whether open lips of a portrait are closed before relative motion is added.
        friendly: "expression" keeps motion in proportion to the size of the portrait's face, "pose" leaves it as
            large as the driver's.
        stitching: Whether S keeps the crop's border still; models without S do so by themselves.
        spoken: Whether a voice generated the motion, as in `liveportrait.compose.compose_audio`: then the lips of
            people take its expression itself, and animals turn from their own pose. Drivers that are seen leave it.
    """

    head: float
    lips: float
    eyes: float
    brows: float
    face: float
    relative: bool
    retarget_eyes: bool
    retarget_lips: bool
    replace: bool
    normalize_lips: bool
    friendly: Friendly
    stitching: bool
    spoken: bool = False


def neutral_frame(motion: Motion) -> int:
    """Choose the driving frame that is most like a face at rest: lips shut, eyes open, head straight, nothing unusual.

    Args:
        motion: The driver's motion, T frames; without openness ratios only head and expression count.

    Returns:
        Its index, from 0; the earliest where several are alike.
    """
    # The angle of a rotation comes from its trace; here only the axis out of the picture matters, roll included.
    turn = ((torch.diagonal(motion.rotation, dim1=1, dim2=2).sum(1) - 1) / 2).clamp(-1, 1).acos()
    cost = (torch.rad2deg(turn) / FRONTAL_DEG).square()
    face = in_head_frame(motion)
    unusual = (face - face.median(0).values).square().sum(-1).mean(-1).sqrt()
    cost = cost + (unusual / USUAL_FACE).square()
    if motion.lip_ratio is not None:
        cost = cost + (motion.lip_ratio[:, 0] / OPEN_LIPS).square()
    if motion.eye_ratio is not None:
        usual = motion.eye_ratio.median(0).values.clamp_min(1e-6)
        shut = (1 - motion.eye_ratio / usual).clamp_min(0).amax(1)
        cost = cost + (shut / HALF_SHUT).square()
    return int(cost.argmin())


def in_head_frame(motion: Motion) -> Tensor:
    """Turn expressions with the head, back to the front: δ Rᵀ, shape (T, K, 3)."""
    return motion.expression @ motion.rotation.transpose(1, 2)
