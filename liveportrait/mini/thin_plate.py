"""Thin-plate splines, from which the prior flow (W) is built; they move lips and jaw exactly with the keypoints."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from liveportrait.mini.logarithm import fast_log
from liveportrait.mini.regions import KEYPOINTS, LEFT_IRIS, RIGHT_IRIS

ANCHORS_PER_SIDE = 8
_CACHED = 512  # points whose distances to all centres fit a processor's cache: twice as fast
SMOOTHING = 3e-4  # relaxes nearly coincident points (closed lips) by up to about 1 % of the crop
CONTROL_ROWS = [n for n, point in enumerate(KEYPOINTS) if point not in LEFT_IRIS + RIGHT_IRIS]


def border_anchors() -> Tensor:
    """Return fixed points on the crop's border, which hold background and shoulders, shape (anchors, 2)."""
    side = torch.linspace(-1, 1, ANCHORS_PER_SIDE + 1, dtype=torch.float32)[:-1]
    one = torch.ones_like(side)
    edges = [torch.stack(edge, -1) for edge in ((side, -one), (one, side), (-side, one), (-one, -side))]
    return torch.cat(edges)


def backward_flow(x_s: Tensor, x_d: Tensor, grid: Tensor) -> Tensor:
    """Map output positions to source positions.

    Args:
        x_s: Points of the source, shape (1 or T, N, 2 or 3), ±1 at the crop's edges.
        x_d: The same points in the output, shape (T, N, 2 or 3).
        grid: Output positions, shape (..., 2).

    Returns:
        Source positions, shape (T, ..., 2): a spline through these points and the border anchors.

    Source: Bookstein, "Principal warps", 1989; smoothing as in Wahba, "Spline models", 1990.
    """
    points = grid.reshape(-1, 2).to(x_d)
    anchors = border_anchors().to(x_d)
    centres, targets = (torch.cat([x[..., :2], anchors.expand(len(x), -1, -1)], 1) for x in (x_d, x_s))
    # Frame by frame, because one frame fits in the CPU's cache, and because MKL's batched factorisation returns wrong
    # pivots after torch.set_num_threads was called (torch 2.11).
    shifts = [_shift(points, *pair) for pair in zip(centres, targets.expand_as(centres) - centres, strict=True)]
    return (points + torch.stack(shifts)).reshape(len(x_d), *grid.shape)


def forward_shifts(before: Tensor, after: Tensor, grid: Tensor) -> Tensor:
    """Interpolate the displacement of positions from the known displacement of some points.

    Args:
        before: N points, shape (1 or T, N, 2), ±1 at the crop's edges.
        after: The same points after moving, shape (T, N, 2).
        grid: Positions, shape (..., 2).

    Returns:
        Displacements, shape (T, ..., 2): a spline through those of the points and zero at the border anchors.
    """
    points = grid.reshape(-1, 2).to(after)
    anchors = border_anchors().to(after)
    shifts = F.pad(after - before, (0, 0, 0, len(anchors)))
    centres = torch.cat([before, anchors.expand(len(before), -1, -1)], 1)
    if len(before) == 1:  # one source needs only one factorisation
        found = _shift(points, centres[0], shifts.permute(1, 0, 2).flatten(1)).unflatten(1, (-1, 2)).transpose(0, 1)
    else:
        found = torch.stack([_shift(points, *pair) for pair in zip(centres, shifts, strict=True)])
    return found.reshape(len(after), *grid.shape)


def _shift(points: Tensor, centres: Tensor, values: Tensor) -> Tensor:
    """Fit splines to `values` (N, D) at `centres` (N, 2) and evaluate them at `points` (P, 2): shape (P, D)."""
    weights, affine = _solve(centres, values)
    size = len(points) if points.is_cuda else _CACHED
    parts = [torch.addmm(affine[0] + some @ affine[1:], _kernel(some, centres), weights) for some in points.split(size)]
    return torch.cat(parts)


def _solve(centres: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Solve for the kernel weights (N, D) and the affine part (3, D)."""
    count = len(centres)
    system = centres.new_zeros(count + 3, count + 3)
    system[:count, :count] = _kernel(centres, centres)
    system.diagonal()[:count] += SMOOTHING
    system[:count, count] = system[count, :count] = 1.0
    system[:count, count + 1 :] = centres
    system[count + 1 :, :count] = centres.T
    solution = torch.linalg.solve(system, torch.cat([values, values.new_zeros(3, values.shape[1])]))
    return solution[:count], solution[count:]


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    """Return r² ln r² between two point sets, (P, 2) and (N, 2) → (P, N)."""
    lengths = a.square().sum(-1, keepdim=True) + b.square().sum(-1)
    squared = torch.addmm(lengths, a, b.T, alpha=-2).clamp_min_(1e-12)
    return squared.mul_(fast_log(squared))
