"""Turn the eyes: move irises in the head frame, and keep them where they can be seen."""

from __future__ import annotations

import torch
from torch import Tensor

from liveportrait.mini.regions import (
    LEFT_EYE_CORNERS,
    LEFT_IRIS,
    LEFT_LID_PAIRS,
    RIGHT_EYE_CORNERS,
    RIGHT_IRIS,
    RIGHT_LID_PAIRS,
    rows,
)

EYEBALL_RADIUS = 0.17
"""In the head frame, where an eye is 0.44 wide: 12 mm against 30 mm."""
CORNER = 0.25
"""Share of an eye's width; an iris nearer to a corner is hidden."""
LID = 0.01
"""Distance of an iris's centre from an eyelid in the head frame; irises of open eyes are hardly ever nearer."""
BESIDE = 0.05
"""Distance from an iris's centre at which an eyelid's points count less."""

_EYES = (
    (LEFT_EYE_CORNERS, LEFT_LID_PAIRS, LEFT_IRIS),
    (RIGHT_EYE_CORNERS, RIGHT_LID_PAIRS, RIGHT_IRIS),
)


def turn_eyes(head: Tensor, gaze_deg: Tensor) -> Tensor:
    """Turn the eyes as far as their irises stay between the corners and the lids, or as near to them as they were.

    Args:
        head: Points in the head frame, shape (T, K, 3).
        gaze_deg: Degrees to the right and down in the picture, shape (1 or T, 2).

    Returns:
        The points with moved irises, shape (T, K, 3).
    """
    moved = head.clone()
    moved[:, rows(LEFT_IRIS + RIGHT_IRIS), :2] += EYEBALL_RADIUS * torch.deg2rad(gaze_deg).sin()[:, None]
    moved = irises_within(moved, head)
    for _, lids, iris in _EYES:
        centre = rows(iris)[0]
        upper, lower = _lids_beside(moved, lids, centre)
        before, after = head[:, centre, 1], moved[:, centre, 1]
        within = after.maximum(before.minimum(upper + LID)).minimum(before.maximum(lower - LID))
        moved[:, rows(iris), 1] += (within - after)[:, None]
    return moved


def irises_within(moved: Tensor, target: Tensor) -> Tensor:
    """Keep irises away from the eye corners unless the target's are as near; points in the head frame, (T, K, 3)."""
    moved = moved.clone()
    for corners, _, iris in _EYES:
        (place, axis), (wanted, _) = (along_eye(points, corners, iris[0]) for points in (moved, target))
        within = place.clamp(min=wanted.clamp_max(CORNER)).minimum(wanted.clamp_min(1 - CORNER))
        moved[:, rows(iris)] += ((within - place)[:, None] * axis)[:, None]
    return moved


def along_eye(points: Tensor, corners: tuple[int, int], centre: int) -> tuple[Tensor, Tensor]:
    """Return an iris's position between its eye's corners, from 0 to 1, (T,), and the vector across, (T, 3)."""
    first, last, iris = (points[:, row] for row in rows((*corners, centre)))
    axis = last - first
    return ((iris - first) * axis).sum(-1) / axis.square().sum(-1).clamp_min(1e-6), axis


def _lids_beside(points: Tensor, lids: tuple[tuple[int, int], ...], centre: int) -> tuple[Tensor, Tensor]:
    """Return the height of the upper and of the lower eyelid at an iris's centre, both of shape (T,)."""
    upper, lower = (points[:, rows(side)] for side in zip(*lids, strict=True))
    beside = (0.5 * (upper + lower)[..., 0] - points[:, centre, :1]) / BESIDE
    shares = beside.square().neg().softmax(1)
    return (shares * upper[..., 1]).sum(1), (shares * lower[..., 1]).sum(1)
