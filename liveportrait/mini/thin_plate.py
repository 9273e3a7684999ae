"""Thin-plate spline: the analytic part of the flow (W). Lips and jaw land exactly where the keypoints say."""

from __future__ import annotations

import torch
from torch import Tensor

from liveportrait.mini.regions import KEYPOINTS, LEFT_IRIS, RIGHT_IRIS

ANCHORS_PER_SIDE = 8
SMOOTHING = 3e-4  # bends the spline away from nearly coincident points (closed lips) within about 1 % of the crop
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
    anchors = border_anchors().to(x_d).expand(len(x_d), -1, -1)
    centres = torch.cat([x_d[:, CONTROL_ROWS, :2], anchors], 1)
    targets = torch.cat([x_s[:, CONTROL_ROWS, :2].expand(len(x_d), -1, -1), anchors], 1)
    points = grid.reshape(-1, 2).to(x_d)
    weights, affine = _solve(centres, targets - centres)
    shift = _kernel(points.expand(len(x_d), -1, -1), centres) @ weights + affine[:, :1] + points @ affine[:, 1:]
    return (points + shift).reshape(len(x_d), *grid.shape)


def _solve(centres: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Solve for the kernel weights (T, N, 2) and the affine part (T, 3, 2)."""
    batch, count, _ = centres.shape
    system = centres.new_zeros(batch, count + 3, count + 3)
    system[:, :count, :count] = _kernel(centres, centres) + SMOOTHING * torch.eye(count).to(centres)
    system[:, :count, count] = system[:, count, :count] = 1.0
    system[:, :count, count + 1 :] = centres
    system[:, count + 1 :, :count] = centres.transpose(1, 2)
    right = torch.cat([values, values.new_zeros(batch, 3, 2)], 1)
    # One by one: MKL's factorisation of a batch gives wrong pivots once torch.set_num_threads was called (torch 2.11).
    solution = torch.stack([torch.linalg.solve(*pair) for pair in zip(system, right, strict=True)])
    return solution[:, :count], solution[:, count:]


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    """r² ln r² between two point sets, (T, P, 2) and (T, N, 2) → (T, P, N)."""
    lengths = a.square().sum(-1, keepdim=True) + b.square().sum(-1)[:, None]
    squared = torch.baddbmm(lengths, a, b.transpose(1, 2), alpha=-2).clamp_min_(1e-12)
    return squared.mul_(squared.log())
