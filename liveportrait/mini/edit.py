"""Edit a face with sliders in the embedded model; a slider's motion spreads over the face as in the training tracks."""

from __future__ import annotations

import torch
from torch import Tensor

from liveportrait.driving_rules import in_head_frame
from liveportrait.errors import PortraitError
from liveportrait.keypoints import euler_degrees, rotation_matrix
from liveportrait.mini.face_model import MIN_SPREAD, FaceModel, eye_ratio, lip_ratio, most_likely
from liveportrait.mini.gaze import turn_eyes
from liveportrait.mini.head import shift_about_axis
from liveportrait.mini.regions import (
    LEFT_BROW,
    LEFT_LID_PAIRS,
    LIP_PAIRS,
    MOUTH_CORNERS,
    RIGHT_BROW,
    rows,
)
from liveportrait.motion import Motion
from liveportrait.sliders import RANGES, Sliders

SMILE_OUT, SMILE_UP = 0.07, 0.06
"""Displacement of the mouth corners per unit of smile, in the head frame, where an eye is 0.44 wide."""
BROWS_UP = 0.12
"""Displacement of the eyebrows at the end of their slider."""
WIDEST_EYE = 2.0
OPENING_ROUNDS = 6
"""Corrections of the gaps: they are relative to the mouth's width, which changes as the lips open."""


def edit(face: FaceModel, source: Motion, sliders: Sliders) -> Tensor:
    """Apply sliders to one face.

    Args:
        face: What the model knows about faces.
        source: The face's own motion, one frame.
        sliders: Slider values; gaze is in degrees to the right and in half degrees up.

    Returns:
        x_d, shape (1, K, 3).

    Raises:
        PortraitError: A slider is used that only the official models have.
    """
    if theirs := [name for name in ("pout", "purse", "grin", "mouth") if getattr(sliders, name)]:
        raise PortraitError(f"the embedded model has no slider {theirs[0]}: leave it out, or give --model base")
    head = face.mean + in_head_frame(source)
    moved = head + _smile(face, sliders.smile) + _brows(face, sliders.eyebrow / RANGES["eyebrow"][1])
    gaps, own = face.lip_gaps(moved), face.lip_gaps(head)
    moved = moved + face.move_lips(moved, gaps.maximum(own.clamp(max=0)))  # closed lips do not cross in a smile
    if sliders.lip_ratio is not None:
        moved = _open_lips(face, moved, sliders.lip_ratio)
    moved = moved + face.move_lids(moved, _lid_gaps(face, head, sliders))
    moved = turn_eyes(moved, head.new_tensor([[sliders.gaze_x, -sliders.gaze_y / 2]]))
    added = (sliders.pitch_deg, sliders.yaw_deg, sliders.roll_deg)
    angles = [own + more for own, more in zip(euler_degrees(source.rotation), added, strict=True)]
    rotation = rotation_matrix(*angles)
    shift = source.translation + source.translation.new_tensor([-sliders.move_x, sliders.move_y, 0.0])
    shift = shift + shift_about_axis(source.scale, source.rotation, rotation)
    flat = shift * shift.new_tensor([1.0, 1.0, 0.0])
    return sliders.zoom * source.scale[:, None] * (moved @ rotation) + flat[:, None]


def silence(face: FaceModel, source: Motion) -> Tensor:
    """Close the lips of a face, and its jaw with them; (T, K, 3) for T frames."""
    closed = face.close_lips(face.mean + in_head_frame(source))
    flat = source.translation * source.translation.new_tensor([1.0, 1.0, 0.0])
    return source.scale[:, None] * (closed @ source.rotation) + flat[:, None]


def _smile(face: FaceModel, amount: float) -> Tensor:
    target = face.mean.new_tensor([[-SMILE_OUT, -SMILE_UP, 0.0], [SMILE_OUT, -SMILE_UP, 0.0]]) * amount
    return _spread(face.expression_basis[: face.num_mouth], MOUTH_CORNERS, target)


def _brows(face: FaceModel, amount: float) -> Tensor:
    points = LEFT_BROW + RIGHT_BROW
    target = face.mean.new_tensor([0.0, -BROWS_UP * amount, 0.0]).expand(len(points), 3)
    return _spread(face.expression_basis[face.num_mouth :], points, target)


def _spread(basis: Tensor, points: tuple[int, ...], target: Tensor) -> Tensor:
    """Return the most likely displacement (1, K, 3) in a basis (C, K, 3) that moves some points to a target."""
    return most_likely(basis, basis[:, rows(points)].flatten(1), target.reshape(1, -1))


def _open_lips(face: FaceModel, head: Tensor, ratio: float) -> Tensor:
    """Give a face (1, K, 3) in the head frame an openness of the lips; they part in the shape of a lens."""
    head = head + face.move_lips(head, face.lip_gaps(head).clamp_min(0))  # lips do not cross
    own = lip_ratio(head)
    kept = (ratio / own.clamp_min(MIN_SPREAD)).clamp(max=1)
    asked, opened = max(ratio, float(own)), head
    for _ in range(OPENING_ROUNDS):
        opened = face.part_lips(head, kept, _lens(opened, asked) - _lens(head, float(own)))
        if ratio <= own:
            break
        asked *= ratio / max(float(lip_ratio(opened)), MIN_SPREAD)
    return opened


def _lens(head: Tensor, ratio: float) -> Tensor:
    """Return the inner lip gaps of a lens-shaped open mouth, shape (1, pairs)."""
    left, right = (head[:, row, 0] for row in rows(MOUTH_CORNERS))
    upper = head[:, rows(tuple(pair[0] for pair in LIP_PAIRS)), 0]
    along = 2 * (upper - left[:, None]) / (right - left)[:, None].clamp_min(1e-3) - 1
    return ratio * (right - left)[:, None] * (1 - along.square()).clamp_min(0)


def _lid_gaps(face: FaceModel, head: Tensor, sliders: Sliders) -> Tensor:
    """Return the target gaps of the eyelids, shape (1, 2 · pairs)."""
    factor = torch.ones_like(eye_ratio(head))
    if sliders.eye_ratio is not None:
        factor = (sliders.eye_ratio / eye_ratio(head).clamp_min(1e-3)).clamp(max=WIDEST_EYE)
    factor = factor * factor.new_tensor([[1 - sliders.wink / RANGES["wink"][1], 1.0]])
    return face.lid_gaps(head) * factor.repeat_interleave(len(LEFT_LID_PAIRS), 1)
