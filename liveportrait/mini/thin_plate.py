"""Thin-plate spline: the analytic part of the flow (W). Lips and jaw land exactly where the keypoints say."""

from __future__ import annotations

import torch
from torch import Tensor

from liveportrait.mini.regions import (
    KEYPOINTS,
    LEFT_IRIS,
    LEFT_LID_PAIRS,
    LIP_PAIRS,
    RIGHT_IRIS,
    RIGHT_LID_PAIRS,
    rows,
)

ANCHORS_PER_SIDE = 8
SMOOTHING = 3e-4  # bends the spline away from nearly coincident points (closed lips) within about 1 % of the crop
SEAM = 0.016  # gap that closed lids and lips keep in the spline: half a step of the flow's grid, so nobody sees it
UPPER, LOWER = (rows(side) for side in zip(*LIP_PAIRS, *LEFT_LID_PAIRS, *RIGHT_LID_PAIRS, strict=True))
CONTROL_ROWS = [n for n, point in enumerate(KEYPOINTS) if point not in LEFT_IRIS + RIGHT_IRIS]


def border_anchors() -> Tensor:
    """Return points on the crop's border, which never move: background and shoulders stay, shape (anchors, 2)."""
    side = torch.linspace(-1, 1, ANCHORS_PER_SIDE + 1)[:-1]
    one = torch.ones_like(side)
    edges = [torch.stack(edge, -1) for edge in ((side, -one), (one, side), (-side, one), (-one, -side))]
    return torch.cat(edges)


def backward_flow(x_s: Tensor, x_d: Tensor, grid: Tensor) -> Tensor:
    """Map output positions to source positions.

    Args:
        x_s: Source keypoints, shape (1 or T, K, 2 or 3), ±1 at the crop's edges.
        x_d: Driving keypoints, shape (T, K, 2 or 3).
        grid: Output positions, shape (..., 2).

    Returns:
        Source positions, shape (T, ..., 2): a spline through the keypoints and the border anchors.

    Source: Bookstein, "Principal warps", 1989; smoothing as in Wahba, "Spline models", 1990.
    """
    points = grid.reshape(-1, 2).to(x_d)
    x_d = _parted(x_s, x_d)
    anchors = border_anchors().to(x_d)
    centres = torch.cat([x_d[:, CONTROL_ROWS, :2], anchors.expand(len(x_d), -1, -1)], 1)
    targets = torch.cat([x_s[:, CONTROL_ROWS, :2], anchors.expand(len(x_s), -1, -1)], 1)
    # One by one: arrays of one frame stay in the processor's cache, and MKL's factorisation of a batch gives wrong
    # pivots once torch.set_num_threads was called (torch 2.11).
    shifts = [_shift(points, *pair) for pair in zip(centres, targets.expand_as(centres) - centres, strict=True)]
    return (points + torch.stack(shifts)).reshape(len(x_d), *grid.shape)


def _parted(x_s: Tensor, x_d: Tensor) -> Tensor:
    """Keep lids and lips that close a hair apart, or as far as they are in the source.

    Where an upper and a lower point meet that come from different places, a smooth spline would settle between the two
    and show the eye wide open behind its closed lids.

    Args:
        x_s: Source keypoints, shape (1 or T, K, 2 or 3).
        x_d: Driving keypoints, shape (T, K, 2 or 3).

    Returns:
        Driving keypoints, shape (T, K, 2).
    """
    x_s, x_d = x_s[..., :2], x_d[..., :2].clone()
    open_s = x_s[:, LOWER] - x_s[:, UPPER]
    width = open_s.norm(dim=-1, keepdim=True)
    across = open_s / width.clamp_min(1e-6)
    gap = ((x_d[:, LOWER] - x_d[:, UPPER]) * across).sum(-1, keepdim=True)
    push = 0.5 * (width.clamp_max(SEAM) - gap).clamp_min(0) * across
    x_d[:, UPPER] -= push
    x_d[:, LOWER] += push
    return x_d


def _shift(points: Tensor, centres: Tensor, values: Tensor) -> Tensor:
    """Bend a plate so that it has `values` (N, 2) at `centres` (N, 2), and read it at `points` (P, 2): shape (P, 2)."""
    weights, affine = _solve(centres, values)
    return torch.addmm(affine[0] + points @ affine[1:], _kernel(points, centres), weights)


def _solve(centres: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Solve for the kernel weights (N, 2) and the affine part (3, 2)."""
    count = len(centres)
    system = centres.new_zeros(count + 3, count + 3)
    system[:count, :count] = _kernel(centres, centres)
    system.diagonal()[:count] += SMOOTHING
    system[:count, count] = system[count, :count] = 1.0
    system[:count, count + 1 :] = centres
    system[count + 1 :, :count] = centres.T
    solution = torch.linalg.solve(system, torch.cat([values, values.new_zeros(3, 2)]))
    return solution[:count], solution[count:]


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    """r² ln r² between two point sets, (P, 2) and (N, 2) → (P, N)."""
    lengths = a.square().sum(-1, keepdim=True) + b.square().sum(-1)
    squared = torch.addmm(lengths, a, b.T, alpha=-2).clamp_min_(1e-12)
    return squared.mul_(squared.log())
