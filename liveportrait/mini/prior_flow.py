"""Prior flow, the analytic part of W: close lips and eyelids first, then move everything else with a spline."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from liveportrait.mini.face_model import FaceModel, HeadPose
from liveportrait.mini.head import turned_head, unfold
from liveportrait.mini.patches import sample
from liveportrait.mini.raster import pixel_grid
from liveportrait.mini.regions import LEFT_LID_PAIRS, LIP_PAIRS, RIGHT_LID_PAIRS, rows
from liveportrait.mini.thin_plate import CONTROL_ROWS, backward_flow, forward_shifts

SPLINE_SIZE, CLOSING_SIZE, FLOW_SIZE = 48, 64, 128
"""Sizes of the grids on which the smooth spline and that of closing lips are evaluated, and the flow is returned."""
UPPER, LOWER = (rows(side) for side in zip(*LIP_PAIRS, *LEFT_LID_PAIRS, *RIGHT_LID_PAIRS, strict=True))
INSIDE = (0.2, 0.5, 0.8)  # positions between the upper and the lower lip or eyelid
MIN_CLOSING = 0.004  # in half crops: smaller closing motions are left to the spline
STILL = 0.003  # shifts below this are ignored
ROUNDS = 6
MIN_AREA = 0.6  # lower bound of the Jacobian's determinant in Newton's steps; a lower one leaves folds
MAX_STEP = 0.2


def prior_flow(face: FaceModel, x_s: Tensor, x_d: Tensor) -> Tensor:
    """Map output positions to source positions.

    A smooth backward map cannot close a mouth: neighbouring positions on the closed lips lie far apart in the source,
    so the lips would appear twice. Lips and eyelids are therefore closed first, by inverting a smooth forward map.

    Args:
        face: Moves lips, jaw and eyelids.
        x_s: Source keypoints, shape (1 or T, K, 3), ±1 at the crop's edges.
        x_d: Driving keypoints, shape (T, K, 3).

    Returns:
        Shape (T, FLOW_SIZE, FLOW_SIZE, 2).
    """
    poses = face.pose(x_s), face.pose(x_d)
    x_c, x_d = close_source(face, x_s, x_d, poses)
    coarse, fine = (pixel_grid(size, size).to(x_d) for size in (SPLINE_SIZE, FLOW_SIZE))
    before, after = turned_head(*poses)
    source = torch.cat([x_c[:, CONTROL_ROWS], before], 1)
    driving = unfold(source, torch.cat([x_d[:, CONTROL_ROWS], after], 1), *poses)
    shift = (backward_flow(source, driving, coarse) - coarse).permute(0, 3, 1, 2).contiguous()
    flow = fine + F.interpolate(shift, (FLOW_SIZE, FLOW_SIZE), mode="bicubic").permute(0, 2, 3, 1)
    closing = ((x_c - x_s).abs().amax((1, 2)) >= MIN_CLOSING).nonzero()[:, 0]
    if len(closing):
        sources = x_s if len(x_s) == 1 else x_s[closing]
        shift = (closing_flow(sources, x_c[closing], fine) - fine).permute(0, 3, 1, 2)
        flow[closing] += sample(shift, flow[closing]).permute(0, 2, 3, 1)
    return flow


def close_source(face: FaceModel, x_s: Tensor, x_d: Tensor, poses: tuple[HeadPose, HeadPose]) -> tuple[Tensor, Tensor]:
    """Close the source's lips and eyelids to the driver's gaps where those are smaller.

    Args:
        face: Moves lips, jaw and eyelids.
        x_s: As in `prior_flow`.
        x_d: As in `prior_flow`.
        poses: Of the source's and of the driver's head.

    Returns:
        Keypoints of the closed source, and of the driver with crossed lips and eyelids moved to meet; both of shape
        (T, K, 3).
    """
    own, other = poses
    head, driving = face.to_head(x_s, own), face.to_head(x_d, other)
    lips, lids = (gaps.clamp_min(0) for gaps in (face.lip_gaps(driving), face.lid_gaps(driving)))
    uncrossing = face.move_lips(driving, lips) + face.move_lids(driving, lids)
    lips, lids = torch.minimum(face.lip_gaps(head), lips), torch.minimum(face.lid_gaps(head), lids)
    closing = face.move_lips(head, lips) + face.move_lids(head, lids)
    moved = [
        x + pose.scale[:, None] * (shift @ pose.rotation)
        for x, pose, shift in ((x_s, own, closing), (x_d, other, uncrossing))
    ]
    return moved[0], moved[1]


def closing_flow(x_s: Tensor, x_c: Tensor, grid: Tensor) -> Tensor:
    """Map positions on a face with closed lips or eyelids to the open source.

    Args:
        x_s: Source keypoints, shape (1 or T, K, 3).
        x_c: The same with closed lips and eyelids, shape (T, K, 3).
        grid: Positions on a regular grid, shape (H, W, 2).

    Returns:
        Shape (T, H, W, 2): the inverse of a spline from the source to the closed face, computed by Newton's method with
        bounded steps.
    """
    coarse = pixel_grid(CLOSING_SIZE, CLOSING_SIZE).to(x_c)
    shift = forward_shifts(_with_insides(x_s), _with_insides(x_c), coarse).permute(0, 3, 1, 2)
    moving = F.interpolate(shift.abs().amax(1, keepdim=True), grid.shape[:2])[:, 0] > STILL
    origin = grid.expand(len(x_c), -1, -1, -1).clone()
    if moving.any():
        box = _between(moving.any(2))[:, :, None] & _between(moving.any(1))[:, None]  # of each frame
        high, wide = (_span(box.any(0).any(1 - axis)) for axis in (0, 1))  # of all frames
        place = origin[:, high, wide]
        origin[:, high, wide] = torch.where(box[:, high, wide, None], _invert(shift, place), place)
    return origin


def _with_insides(x: Tensor) -> Tensor:
    """Return the spline's control points and additional ones between lips and between eyelids.

    They make the opening shrink evenly; a spline through the outlines alone would fold in the middle.
    """
    upper, lower = x[:, UPPER, :2], x[:, LOWER, :2]
    return torch.cat([x[:, CONTROL_ROWS, :2], *(torch.lerp(upper, lower, share) for share in INSIDE)], 1)


def _between(marked: Tensor) -> Tensor:
    """Mark what lies between the first and the last mark of each row, shape (T, N)."""
    return (marked.cumsum(1) > 0) & (marked.flip(1).cumsum(1).flip(1) > 0)


def _span(marked: Tensor) -> slice:
    """Return the slice from the first to the last mark."""
    places = marked.nonzero()[:, 0]
    return slice(int(places[0]), int(places[-1]) + 1)


def _invert(shift: Tensor, place: Tensor) -> Tensor:
    """Find the positions (T, h, w, 2) that a field of shifts (T, 2, G, G) moves to `place`."""
    step = 2 / shift.shape[-1]
    right, down = torch.gradient(shift, spacing=step, dim=(3, 2))
    field, origin = torch.cat([shift, right, down], 1), place
    for _ in range(ROUNDS):
        dx, dy, xx, yx, xy, yy = sample(field, origin).unbind(1)
        x, y = origin[..., 0] + dx - place[..., 0], origin[..., 1] + dy - place[..., 1]
        area = ((1 + xx) * (1 + yy) - xy * yx).clamp_min(MIN_AREA)
        across, along = ((1 + yy) * x - xy * y) / area, ((1 + xx) * y - yx * x) / area
        origin = origin - torch.stack([across, along], -1).clamp(-MAX_STEP, MAX_STEP)
    return origin
