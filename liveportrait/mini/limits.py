"""How far faces and heads move.

Strengths above one move parts of a face no further than faces move them; an eye is 0.44 wide in the head frame. Heads
that move far in their crop stretch what lies between them and the crop's still border.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from liveportrait.mini.face_model import WIDEST_GAP, FaceModel, most_likely
from liveportrait.mini.head import shift_about_axis
from liveportrait.mini.regions import (
    FACE_OVAL,
    JAW,
    LEFT_BROW,
    LEFT_EYE,
    LEFT_IRIS,
    LIPS,
    MOUTH_CORNERS,
    NOSE,
    RIGHT_BROW,
    RIGHT_EYE,
    RIGHT_IRIS,
    rows,
)
from liveportrait.motion import Motion

WIDEST_LIPS, WIDEST_LIDS = WIDEST_GAP, 0.28
"""Largest gaps between the inner lips and between the eyelids."""
NARROWEST_MOUTH = 0.32
"""Distance of the corners of pursed lips."""
TURNED_DEG, FAR_TURNED_DEG = 20.0, 35.0
CALMEST = 0.4
"""Heads turned by `TURNED_DEG` or less follow all head motion of speech; from the second angle on only this share."""

MOST_ASIDE, MOST_UP, MOST_DOWN = 0.22, 0.18, 0.12
"""Largest drift of a head in half crops: beyond it its sides, its chin and neck, or the hair above it are stretched."""
FREE_SHARE = 0.6
"""Share of the largest drift up to which heads follow exactly."""

_BROWS, _EYES = LEFT_BROW + RIGHT_BROW, LEFT_EYE + RIGHT_EYE + LEFT_IRIS + RIGHT_IRIS
_FURTHEST = {LIPS: 0.6, MOUTH_CORNERS: 0.35, _BROWS: 0.28, _EYES: 0.25, NOSE: 0.25}
"""Largest displacement of points from the same face at rest; like all limits here, that of the training tracks."""
_PARTS = {
    LIPS + JAW: (LIPS, MOUTH_CORNERS),
    _BROWS: (_BROWS,),
    _EYES: (_EYES,),
    tuple({*NOSE, *FACE_OVAL} - {*JAW}): (NOSE,),
}
"""Points that move together, and those of them that tell how far."""


def turn_share(rotation: Tensor) -> float:
    """Return how much of the head motion of speech a portrait follows, by its own head rotation, shape (1, 3, 3).

    Nose and glasses of a head that is far turned cover cheeks that were never seen, and tear when it turns.
    """
    turned = float(torch.rad2deg(torch.acos(rotation[0, 2, 2].clamp(-1, 1))))
    beyond = (turned - TURNED_DEG) / (FAR_TURNED_DEG - TURNED_DEG)
    return 1 - (1 - CALMEST) * min(max(beyond, 0.0), 1.0)


def limited(face: FaceModel, weights: Tensor, change: Tensor) -> Tensor:
    """Limit strengths so that they move no part of a face further than faces move it, or than it moves by itself.

    Args:
        face: The face model.
        weights: Strength for each keypoint, shape (K, 1).
        change: How a face moves at strength one, shape (T, K, 3).

    Returns:
        Shape (1 or T, K, 1); strengths up to one stay as they are.
    """
    if bool((weights <= 1).all()):
        return weights[None]
    weights = weights.expand(len(change), -1, -1).clone()
    for points, told_by in _PARTS.items():
        strongest = 1 / _extent(face, change, told_by).clamp(1e-6, 1)
        weights[:, rows(points)] = weights[:, rows(points)].minimum(strongest[:, None, None])
    return weights


def limited_speech(face: FaceModel, expression: Tensor) -> Tensor:
    """Limit coefficients of the expression, (T, C), to mouths as wide open as any."""
    mouth, brows = expression.tensor_split([face.num_mouth], 1)
    moved = face.express(torch.cat([mouth, torch.zeros_like(brows)], 1))
    share = 1 / _extent(face, moved, (LIPS, MOUTH_CORNERS)).clamp_min(1)
    return torch.cat([mouth * share[:, None], brows], 1)


def limited_lids(gaps: Tensor, own: Tensor) -> Tensor:
    """Limit the gaps of the eyelids, (T, 2 · pairs), to eyes as wide open as any, or as `own`; in proportion."""
    each = gaps.unflatten(1, (2, -1))
    widest = own.unflatten(1, (2, -1)).amax(2, keepdim=True).clamp_min(WIDEST_LIDS)
    return (each * (widest / each.amax(2, keepdim=True).clamp_min(1e-6)).clamp(max=1)).flatten(1)


def limited_shift(driving: Motion, anchor: Motion, factor: float | Tensor = 1.0) -> Tensor:
    """Return how far a head is shifted from the anchor's place, without leaving the middle of its crop.

    A head drifts as far as both its face and the point about which it turns; turns alone stay as they are.

    Args:
        driving: T frames.
        anchor: One frame.
        factor: Of the shift, a number or shape (1 or T, 1).

    Returns:
        Half crops, shape (T, 3).
    """
    shift = (driving.translation - anchor.translation) * factor
    axis = shift - shift_about_axis(driving.scale, anchor.rotation, driving.rotation) * factor
    drift = torch.where(shift * axis > 0, shift.sign() * shift.abs().minimum(axis.abs()), 0.0)[:, :2]
    down = drift.new_tensor([MOST_ASIDE, MOST_DOWN])
    most = torch.where(drift < 0, drift.new_tensor([MOST_ASIDE, MOST_UP]), down)
    return shift + F.pad(_soft_limit(drift, most) - drift, (0, 1))


def widen_mouth(face: FaceModel, moved: Tensor, own: Tensor, target: Tensor) -> Tensor:
    """Widen a mouth that is narrower than pursed lips, unless the own or the target's is as narrow; all (T, K, 3)."""
    basis = face.expression_basis[: face.num_mouth]
    least = _mouth_span(own).minimum(_mouth_span(target)).clamp(max=NARROWEST_MOUTH)
    lacking = (least - _mouth_span(moved)).clamp_min(0)
    if not bool(lacking.any()):
        return moved
    return moved + most_likely(basis, _mouth_span(basis), lacking)


def _extent(face: FaceModel, change: Tensor, told_by: tuple[tuple[int, ...], ...]) -> Tensor:
    """Return how far some points move, where 1 is the furthest, shape (T,)."""
    sizes = [change[:, rows(points)].norm(dim=-1).amax(1) / _FURTHEST[points] for points in told_by]
    if LIPS in told_by:
        sizes.append(face.lip_gaps(change).amax(1) / WIDEST_LIPS)
    return torch.stack(sizes).amax(0)


def _soft_limit(values: Tensor, most: Tensor) -> Tensor:
    """Keep values within ±`most`: unchanged up to `FREE_SHARE` of it, then ever slower."""
    free = FREE_SHARE * most
    beyond = (values.abs() - free).clamp_min(0)
    slowed = free + (most - free) * torch.tanh(beyond / (most - free))
    return torch.where(beyond > 0, values.sign() * slowed, values)


def _mouth_span(points: Tensor) -> Tensor:
    """Return the width of the mouth, negative if its corners are swapped: (T, K, 3) → (T, 1)."""
    left, right = rows(MOUTH_CORNERS)
    return points[:, right, :1] - points[:, left, :1]
