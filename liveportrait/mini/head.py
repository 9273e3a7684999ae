"""The head around the face: how hair, ears and skull turn, of which there are no keypoints."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from liveportrait.mini.face_model import HeadPose, embedded_face_model
from liveportrait.mini.regions import LEFT_LID_PAIRS, LIP_PAIRS, RIGHT_LID_PAIRS, rows
from liveportrait.mini.thin_plate import CONTROL_ROWS

AXIS = (0.0, 1.36, 1.01)
"""Where heads turn, nod and tilt, in the head frame: the point that moves least within a second of training tracks."""

_SIDE = ((1.3, 0.95), (1.3, 0.5), (1.4, -0.2), (1.2, -0.9), (0.7, -1.4))
_HAIR = ((1.9, 0.3), (1.7, -0.8), (0.95, -1.95))
_TOP = ((0.0, -1.6), (0.0, -2.2))
"""Points to the right of the face (x, y), around thick hair, and above the middle of both."""

_FADE = 0.5
"""Distance from the crop's border, in half crops, below which less of the motion is left; none at the border itself."""

_LEAST, _ROUNDS = 0.45, 8
"""Share of their distance that neighbours keep at least when the head turns, and rounds in which they are moved."""


def turned_head(own: HeadPose, other: HeadPose) -> tuple[Tensor, Tensor]:
    """Move points around a face from one pose of the head to another.

    They lie as deep as the axis of the head, so they turn less than the face, or against it.

    Args:
        own: The source's pose, 1 or T frames.
        other: The driver's, T frames.

    Returns:
        Points before and after, both of shape (T, N, 3).
    """
    before, after = (_outline(pose) for pose in (own, other))
    depth = ((1 - before[..., :2].abs()).amin(-1, keepdim=True) / _FADE).clamp(0, 1)
    share = depth * depth * (3 - 2 * depth)
    before, share = before.expand_as(after), share.expand(len(after), -1, -1)
    return before, torch.lerp(before, after, share)


def unfold(before: Tensor, after: Tensor, own: HeadPose, other: HeadPose) -> Tensor:
    """Move points that a turned head hides out from behind the points that hide them.

    A smooth map cannot show a cheek that is partly hidden by the nose: it would fold, and show both twice.

    Args:
        before: Control points of the spline in the source, shape (1 or T, N, 3).
        after: The same in the output, shape (T, N, 3).
        own: The source's pose.
        other: The driver's.

    Returns:
        The points in the output, shape (T, N, 3): neighbours keep their order, and `_LEAST` of their distance.
    """
    first, second = _edges().to(after.device)
    along = _turned(before[:, second, :2] - before[:, first, :2], own, other)
    length = along.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    along, least = along / length, _LEAST * length
    behind = (after[:, second, 2:] > after[:, first, 2:]).to(after)
    moved = after.clone()
    for _ in range(_ROUNDS):
        lacking = (least - ((moved[:, second, :2] - moved[:, first, :2]) * along).sum(-1, keepdim=True)).clamp_min(0)
        if not lacking.any():
            break
        push, lacks = lacking * along, (lacking > 0).to(after)
        total, count = torch.zeros_like(moved[..., :2]), torch.zeros_like(moved[..., :1])
        for end, share in ((first, behind - 1), (second, behind)):
            total.index_add_(1, end, push * share)
            count.index_add_(1, end, lacks * share.abs())
        moved[..., :2] += total / count.clamp_min(1)
    return moved


def _turned(vectors: Tensor, own: HeadPose, other: HeadPose) -> Tensor:
    """Scale vectors (T, N, 2) in the source's picture and turn them in its plane, as the head was."""
    (x, y), (right, down) = (F.normalize(pose.rotation[:, 1, :2]).unbind(-1) for pose in (own, other))
    cosine, sine = x * right + y * down, y * right - x * down
    turn = torch.stack([torch.stack([cosine, -sine], -1), torch.stack([sine, cosine], -1)], -2)
    return vectors @ (turn * (other.scale / own.scale)[..., None])


def shift_about_axis(scale: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """Return what to add to a translation so that the head rotates about its axis.

    Args:
        scale: Of the head, shape (T, 1).
        before: Rotation from which it turns, shape (T, 3, 3).
        after: Rotation to which it turns, shape (T, 3, 3).

    Returns:
        Shape (T, 3).
    """
    return scale * (before.new_tensor(AXIS) @ (before - after))


def _outline(pose: HeadPose) -> Tensor:
    """Return the points around a face in a pose, shape (T, N, 3)."""
    return pose.scale[:, None] * (_around_face().to(pose.scale) @ pose.rotation) + pose.translation[:, None]


@cache
@torch.inference_mode(False)
def _around_face() -> Tensor:
    """Return the points around a face in the head frame, shape (N, 3)."""
    right = _SIDE + _HAIR
    places = right + tuple((-x, y) for x, y in right) + _TOP
    return torch.tensor([(x, y, AXIS[2]) for x, y in places], dtype=torch.float32)


@cache
@torch.inference_mode(False)
def _edges() -> Tensor:
    """Return which control points of the spline are neighbours, as pairs of indices, shape (2, E).

    Two are if no third one lies in the circle between them (Gabriel graph) when the face is seen from the front. An
    upper and a lower lip are not, nor are lids: they meet, and where they are shut they may have crossed by a hair.
    """
    points = torch.cat([embedded_face_model().mean[CONTROL_ROWS], _around_face()])[:, :2]
    squared = torch.cdist(points, points).square()
    through_third = squared[:, :, None] + squared[None]  # from the first to the third, and from there to the second
    through_third.diagonal(dim1=0, dim2=1).fill_(torch.inf)
    through_third.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    linked = squared <= through_third.amin(1)
    upper, lower = (
        _among_control_points(side) for side in zip(*LIP_PAIRS, *LEFT_LID_PAIRS, *RIGHT_LID_PAIRS, strict=True)
    )
    linked[upper[:, None], lower] = linked[lower[:, None], upper] = False
    return torch.triu(linked, diagonal=1).nonzero().T


def _among_control_points(points: tuple[int, ...]) -> Tensor:
    """Return the places of mesh points among the control points of the spline."""
    return torch.tensor([CONTROL_ROWS.index(row) for row in rows(points)])
