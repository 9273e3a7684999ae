"""The analytic part of the flow (W): first close what closes, then let a spline open and move the rest."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from liveportrait.mini.face_model import FaceModel
from liveportrait.mini.patches import sample
from liveportrait.mini.raster import pixel_grid
from liveportrait.mini.regions import LEFT_LID_PAIRS, LIP_PAIRS, RIGHT_LID_PAIRS, rows
from liveportrait.mini.thin_plate import CONTROL_ROWS, backward_flow, forward_shifts

SPLINE_SIZE, FLOW_SIZE = 64, 128
"""Grids on which splines are read, and on which the flow is returned: only a line of closed lips is that fine."""
UPPER, LOWER = (rows(side) for side in zip(*LIP_PAIRS, *LEFT_LID_PAIRS, *RIGHT_LID_PAIRS, strict=True))
INSIDE = (0.2, 0.5, 0.8)  # shares of the way from the upper to the lower lip or lid
BARELY = 0.004  # of the crop's half side: lips and lids that close by less are left to the spline
STILL = 0.003  # shifts that are taken for none
ROUNDS = 6
LEAST_AREA = 0.6  # to which what is pressed together shrinks at most, in Newton's steps: less leaves folds
LONGEST_STEP = 0.2


def prior_flow(face: FaceModel, x_s: Tensor, x_d: Tensor) -> Tensor:
    """Map output positions to source positions.

    A smooth map from the output back to the source cannot close a mouth: places side by side on the shut lips lie far
    apart in the source, and around them it would show the lips twice. What closes is therefore closed first, by a
    smooth map from the source, inverted.

    Args:
        face: Says how lips, jaw and lids close.
        x_s: Source keypoints, shape (1 or T, K, 3), ±1 at the crop's edges.
        x_d: Driving keypoints, shape (T, K, 3).

    Returns:
        Shape (T, FLOW_SIZE, FLOW_SIZE, 2).
    """
    x_c, x_d = meeting(face, x_s, x_d)
    coarse, fine = (pixel_grid(size, size).to(x_d) for size in (SPLINE_SIZE, FLOW_SIZE))
    shift = (backward_flow(x_c, x_d, coarse) - coarse).permute(0, 3, 1, 2).contiguous()
    flow = fine + F.interpolate(shift, (FLOW_SIZE, FLOW_SIZE), mode="bilinear").permute(0, 2, 3, 1)
    closing = ((x_c - x_s).abs().amax((1, 2)) >= BARELY).nonzero()[:, 0]
    if len(closing):
        sources = x_s if len(x_s) == 1 else x_s[closing]
        shift = (closing_flow(sources, x_c[closing], fine) - fine).permute(0, 3, 1, 2)
        flow[closing] += sample(shift, flow[closing]).permute(0, 2, 3, 1)
    return flow


def meeting(face: FaceModel, x_s: Tensor, x_d: Tensor) -> tuple[Tensor, Tensor]:
    """Close a source's lips and lids as far as the driver's, where those are less open.

    Returns:
        The closed source's keypoints, and the driver's with lips and lids that meet where they had crossed; shape
        (T, K, 3).
    """
    own, other = face.pose(x_s), face.pose(x_d)
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
    """Map positions on a face whose lips or lids were closed to where they come from.

    Args:
        x_s: Source keypoints, shape (1 or T, K, 3).
        x_c: The same with lips and lids closed, shape (T, K, 3).
        grid: Positions, shape (H, W, 2), regular.

    Returns:
        Shape (T, H, W, 2): the inverse of a spline from the source to the closed face, found by Newton's method with
        bounded steps.
    """
    coarse = pixel_grid(SPLINE_SIZE, SPLINE_SIZE).to(x_c)
    shift = forward_shifts(_with_insides(x_s), _with_insides(x_c), coarse).permute(0, 3, 1, 2)
    moving = F.interpolate(shift.abs().amax((0, 1), keepdim=True), grid.shape[:2])[0, 0] > STILL
    origin = grid.expand(len(x_c), -1, -1, -1).clone()
    if moving.any():
        high, wide = (_span(moving.any(1 - axis)) for axis in (0, 1))
        origin[:, high, wide] = _invert(shift, origin[:, high, wide])
    return origin


def _with_insides(x: Tensor) -> Tensor:
    """Return the spline's control points and some between lips and between lids, so that those shrink evenly.

    A spline through the outlines alone is steepest in the middle, where it would fold.
    """
    upper, lower = x[:, UPPER, :2], x[:, LOWER, :2]
    return torch.cat([x[:, CONTROL_ROWS, :2], *(torch.lerp(upper, lower, share) for share in INSIDE)], 1)


def _span(marked: Tensor) -> slice:
    """Return what reaches from the first to the last mark."""
    places = marked.nonzero()[:, 0]
    return slice(int(places[0]), int(places[-1]) + 1)


def _invert(shift: Tensor, place: Tensor) -> Tensor:
    """Find the positions (T, h, w, 2) that a field of shifts (T, 2, G, G) carries to `place`."""
    step = 2 / shift.shape[-1]
    right, down = torch.gradient(shift, spacing=step, dim=(3, 2))
    field, origin = torch.cat([shift, right, down], 1), place
    for _ in range(ROUNDS):
        dx, dy, xx, yx, xy, yy = sample(field, origin).unbind(1)
        x, y = origin[..., 0] + dx - place[..., 0], origin[..., 1] + dy - place[..., 1]
        area = ((1 + xx) * (1 + yy) - xy * yx).clamp_min(LEAST_AREA)
        across, along = ((1 + yy) * x - xy * y) / area, ((1 + xx) * y - yx * x) / area
        origin = origin - torch.stack([across, along], -1).clamp(-LONGEST_STEP, LONGEST_STEP)
    return origin
