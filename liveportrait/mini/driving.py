"""Drive the embedded model: compose motion in the head frame, without pose and scale."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from liveportrait.driving_rules import DrivingRules, in_head_frame, scaled_turn
from liveportrait.keypoints import relative_rotation
from liveportrait.mini.face_model import FaceModel, most_likely
from liveportrait.mini.gaze import irises_within
from liveportrait.mini.limits import WIDEST_LIPS, limited, limited_lids, limited_shift, widen_mouth
from liveportrait.mini.regions import (
    JAW,
    KEYPOINTS,
    LEFT_BROW,
    LEFT_EYE,
    LEFT_IRIS,
    LIPS,
    MOUTH_CORNERS,
    RIGHT_BROW,
    RIGHT_EYE,
    RIGHT_IRIS,
    rows,
)
from liveportrait.motion import Motion
from liveportrait.retarget import CLOSED_LIP_RATIO

NOSE_BASE, CHIN = 2, 152
MAX_SHIFT, MAX_ZOOM = 0.4, 1.35
"""Limits of the whole shift of a head, turns included, in half crops, and of its scale; it would leave the crop."""
MOST_WIDER = 1.5
"""Largest factor by which a mouth that is wider than the driver's opens further than the driver's."""
NEUTRAL_WEIGHT = 0.05
"""Strength of the prior when estimating the expression of a single picture: variance of identity per coordinate."""


def driving_keypoints(face: FaceModel, source: Motion, driving: Motion, anchor: Motion, rules: DrivingRules) -> Tensor:
    """Compute the driving keypoints of a face.

    Args:
        face: The face model.
        source: The source's own motion, one frame or T.
        driving: The driver's motion, T frames.
        anchor: The driver's neutral frame.
        rules: Which parts of the face follow the driver, and how.

    Returns:
        Keypoints x_d, shape (T, K, 3). They equal the driver's keypoints if it is the same face, anchored to the
        source itself.
    """
    rules = rules.by_part()
    own, target, rest = (face.mean + in_head_frame(motion) for motion in (source, driving, anchor))
    begun, neutral = own, rest
    if rules.normalize_lips and rules.relative and rules.lips:
        # Both sides: measured from parted lips, the driver would press closed ones together.
        begun, neutral = (_with_closed_lips(face, *side) for side in ((own, source), (rest, anchor)))
    moved = begun.expand(len(target), -1, -1)
    if not rules.replace:
        change = target - neutral
        moved = begun + change * limited(face, part_weights(face, rules), change)
        moved = widen_mouth(face, moved, own, target)
    moved = _with_gaps(face, moved, target, rules)
    moved = moved + face.move_lids(moved, _lid_gaps(face, own, target, rest, rules))
    moved = irises_within(moved, target)
    if rules.replace:
        return _posed(moved, source)
    return _posed(moved, _driven_pose(source, driving, anchor, rules))


def part_weights(face: FaceModel, rules: DrivingRules) -> Tensor:
    """Return the strength for each keypoint, shape (K, 1); along the jaw it blends from `lips` to `face`."""
    weights = face.mean.new_full((len(KEYPOINTS), 1), rules.face)
    height = face.mean[:, 1:2]
    low = ((height - height[rows((NOSE_BASE,))]) / (height[rows((CHIN,))] - height[rows((NOSE_BASE,))])).clamp(0, 1)
    jaw = _members(JAW).to(weights.device)
    weights = torch.where(jaw, rules.face + (rules.lips - rules.face) * low, weights)
    for points, strength in (
        (LIPS, rules.lips),
        (LEFT_EYE + RIGHT_EYE + LEFT_IRIS + RIGHT_IRIS, rules.eyes),
        (LEFT_BROW + RIGHT_BROW, rules.brows),
    ):
        weights = weights.masked_fill(_members(points).to(weights.device), strength)
    return weights


def rest_of_picture(face: FaceModel, motion: Motion) -> Motion:
    """Estimate the neutral face from a single picture.

    Args:
        face: The face model.
        motion: One frame.

    Returns:
        The same head without its most likely expression, and with closed lips.
    """
    basis, shown = face.expression_basis, in_head_frame(motion)
    expressed = most_likely(basis, basis.flatten(1), shown.flatten(1), NEUTRAL_WEIGHT)
    head = face.close_lips(face.mean + shown - expressed)
    expression = (head - face.mean) @ motion.rotation
    return Motion(motion.rotation, expression, motion.scale, motion.translation, motion.eye_ratio)


def _with_closed_lips(face: FaceModel, head: Tensor, motion: Motion) -> Tensor:
    """Close the lips of points in the head frame, (T, K, 3), if the motion that they come from says they are open."""
    if motion.lip_ratio is None or not bool((motion.lip_ratio >= CLOSED_LIP_RATIO).any()):
        return head
    return face.close_lips(head)


def _with_gaps(face: FaceModel, moved: Tensor, target: Tensor, rules: DrivingRules) -> Tensor:
    """Give the lips of points in the head frame, (T, K, 3), the gaps that the driver asks for."""
    gaps, driver = face.lip_gaps(moved), face.lip_gaps(target)
    apart = gaps if not rules.lips else gaps.maximum(driver.clamp(max=0))  # closed lips do not cross
    moved = moved + face.move_lips(moved, apart)
    if not rules.lips or (rules.relative and not rules.retarget_lips):
        return moved
    # Openness ratios are relative to the mouth's width; pursed lips do not make a wide mouth gape.
    wider = (_mouth_width(moved) / _mouth_width(target)).clamp(max=MOST_WIDER)
    strongest = (WIDEST_LIPS / driver.amax(1, keepdim=True).clamp_min(1e-3)).clamp_min(1)
    wanted = driver * (rules.lips * wider).minimum(strongest)
    kept = (wanted.sum(1, keepdim=True) / apart.sum(1, keepdim=True).clamp_min(1e-3)).clamp(0, 1)
    return face.part_lips(moved, kept, wanted - kept * apart)


def _lid_gaps(face: FaceModel, own: Tensor, target: Tensor, rest: Tensor, rules: DrivingRules) -> Tensor:
    """Return the target gaps of the eyelids, shape (T, 2 · pairs)."""
    gaps, driver, before = (face.lid_gaps(points) for points in (own, target, rest))
    if rules.retarget_eyes or not rules.relative:
        wanted = gaps + (driver - gaps) * rules.eyes
        return limited_lids(wanted.maximum(driver.minimum(gaps).clamp(max=0)), gaps.maximum(driver))
    if rules.replace:
        return gaps.expand_as(driver)
    # Proportional: eyes of any size are shut when the driver's are, and unchanged when the driver's are at rest.
    sums = [value.clamp_min(0).unflatten(1, (2, -1)).sum(2, keepdim=True) for value in (gaps, before)]
    size = (sums[0] / sums[1].clamp_min(1e-3)).clamp(0.3, 3.0)
    change = ((driver - before).unflatten(1, (2, -1)) * size).flatten(1)
    return limited_lids((gaps + change * rules.eyes).maximum(driver.clamp(max=0)), gaps)


def _driven_pose(source: Motion, driving: Motion, anchor: Motion, rules: DrivingRules) -> Motion:
    """Return the driven head pose; the expression of the result is unused."""
    rotation = driving.rotation
    if rules.relative:
        rotation = relative_rotation(source.rotation, driving.rotation, anchor.rotation)
    if rules.head != 1:
        turn = rotation @ source.rotation.transpose(1, 2)
        rotation = scaled_turn(turn, rules.head) @ source.rotation
    zoom = (driving.scale / anchor.scale).clamp(1 / MAX_ZOOM, MAX_ZOOM)
    zoom = (zoom**rules.head).clamp(1 / MAX_ZOOM, MAX_ZOOM)
    # In head units, so that the driver's crop does not matter.
    size = source.scale / anchor.scale if rules.friendly == "expression" else 1.0
    shift = limited_shift(driving, anchor, rules.head * size).clamp(-MAX_SHIFT, MAX_SHIFT)
    return Motion(rotation, source.expression, source.scale * zoom, source.translation + shift)


def _posed(head: Tensor, motion: Motion) -> Tensor:
    x = motion.scale[:, None] * (head @ motion.rotation)
    return x + motion.translation[:, None] * motion.translation.new_tensor([1.0, 1.0, 0.0])


def _mouth_width(head: Tensor) -> Tensor:
    left, right = rows(MOUTH_CORNERS)
    return (head[:, left, :2] - head[:, right, :2]).norm(dim=-1, keepdim=True)


@cache
def _members(points: tuple[int, ...]) -> Tensor:
    """Mark keypoints, shape (K, 1)."""
    mask = torch.zeros(len(KEYPOINTS), 1, dtype=torch.bool)
    mask[rows(points)] = True
    return mask
