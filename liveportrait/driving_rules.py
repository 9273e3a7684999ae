"""How a portrait follows a driver: which parts of the face, with what strength, and relative to which frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from liveportrait.keypoints import euler_degrees, rotation_matrix
from liveportrait.motion import Motion

Friendly = Literal["expression", "pose"]

FRONTAL_DEG = 15.0
"""Head rotation in degrees that has a cost of one when the neutral frame is chosen."""
OPEN_LIPS = 0.08
"""Lip ratio with the same cost."""
HALF_SHUT = 0.25
"""Share of the median eye openness that is missing, with the same cost."""
USUAL_FACE = 0.04
"""RMS distance to the video's median expression with the same cost, in head units."""

FURTHEST_TURN_DEG = 30.0
"""Angle up to which a head turns when its motion is made stronger."""


@dataclass(frozen=True)
class DrivingRules:
    """How driving motion is transferred to a portrait. Defaults are defined in the command-line options.

    With all strengths at one or zero the official models move as upstream's regions do: "all" moves everything, "exp"
    all but head and size, "pose" the head alone, "lip" the lips, "eyes" the eyes.

    Attributes:
        head: Strength of the head's rotation and translation; 0 keeps the source's head pose.
        size: Strength of the head's change of scale (`mini` uses `head`).
        lips: Strength of the motion of lips and jaw.
        eyes: Strength of the motion of eyelids and eyeballs.
        brows: Strength of the motion of the eyebrows.
        face: Strength of the motion of the rest of the face.
        strength: Factor on all motion: for the official models on the displacement of the keypoints, as upstream's
            driving multiplier; for others on the strength of every part.
        relative: Whether to apply the driver's change from its anchor frame instead of its absolute pose and openness.
        retarget_eyes: Whether the eyelids reach the driver's openness instead of opening in proportion to it.
        retarget_lips: Whether the lips reach the driver's openness instead of following its relative motion.
        replace: Whether retargeting discards all other motion, as upstream does, instead of adding to it.
        normalize_lips: Whether to close the source's open lips when motion is relative; the embedded model closes the
            anchor's too.
        open_eyes: Whether to keep a source video's eyes as open as in its first frame (official models).
        friendly: "expression" scales motion to the size of the source's face, "pose" keeps the driver's amplitude.
        stitching: Whether to keep the crop's border still with S; models without S always do.
        observation_variance: Smoothing of a source video that follows a video, 0 for none (official models).
        spoken: Whether the motion was generated from speech. Then human lips take its absolute expression, and animals
            rotate from their own pose. False for visual drivers.
    """

    head: float
    size: float
    lips: float
    eyes: float
    brows: float
    face: float
    strength: float
    relative: bool
    retarget_eyes: bool
    retarget_lips: bool
    replace: bool
    normalize_lips: bool
    open_eyes: bool
    friendly: Friendly
    stitching: bool
    observation_variance: float
    spoken: bool = False

    def by_part(self) -> DrivingRules:
        """Return the same rules with `strength` multiplied into the strength of every part."""
        parts = {
            name: self.strength * getattr(self, name) for name in ("head", "size", "lips", "eyes", "brows", "face")
        }
        return replace(self, strength=1.0, **parts)


def neutral_frame(motion: Motion) -> int:
    """Find the most neutral driving frame: lips closed, eyes open, head frontal, typical expression.

    Args:
        motion: The driver's motion, T frames; without openness ratios only pose and expression are compared.

    Returns:
        Index of the frame, from 0; the first one on a tie.
    """
    # The trace of a rotation matrix gives its total angle, roll included.
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


def scaled_turn(turn: Tensor, strength: float) -> Tensor:
    """Make the rotation of a head, (T, 3, 3), weaker or stronger, but no stronger than heads turn.

    An angle beyond `FURTHEST_TURN_DEG` is not made larger.
    """
    if strength == 1:
        return turn
    angles = euler_degrees(turn)
    furthest = [(FURTHEST_TURN_DEG / angle.abs().clamp_min(1e-3)).clamp_min(1) for angle in angles]
    return rotation_matrix(*(angle * most.clamp(max=strength) for angle, most in zip(angles, furthest, strict=True)))


def in_head_frame(motion: Motion) -> Tensor:
    """Rotate expressions into the head frame: δ Rᵀ, shape (T, K, 3)."""
    return motion.expression @ motion.rotation.transpose(1, 2)
