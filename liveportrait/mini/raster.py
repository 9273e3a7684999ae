"""Draw landmark polygons as soft masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

FARTHEST = 8
"""Distance from its outline, over a mask's softness, from which on the mask is 0 or 1."""

_LEAST = 1 / (1 + math.exp(FARTHEST))


def signed_distances(polygons: Sequence[Tensor], points: Tensor, reach: Tensor) -> Tensor:
    """Measure the distances to the outlines of closed polygons, positive inside.

    Args:
        polygons: Corners in order, n tensors of shape (T, N, 2).
        points: Pixels of a regular grid, shape (T, H, W, 2), in the same coordinates: x depends on the column alone,
            y on the row, and both grow.
        reach: Largest distance that is returned, shape (1 or T,); most pixels are farther away, and cost nothing.

    Returns:
        Distances in those coordinates, shape (T, n, H, W).
    """
    corners = [polygon.shape[1] for polygon in polygons]
    start, end = torch.cat(list(polygons), 1), torch.cat([polygon.roll(-1, 1) for polygon in polygons], 1)
    reach = reach.expand(len(points))
    squared = [_squared_distances(polygon, points, reach) for polygon in polygons]
    distance = torch.stack(squared, 1).clamp_min(0).sqrt()
    crossed = _crossed(start, end, points)
    inside = torch.stack([part.sum(1, dtype=torch.uint8) & 1 for part in crossed.split(corners, 1)], 1).bool()
    return torch.where(inside, distance, -distance)


def _squared_distances(polygon: Tensor, points: Tensor, reach: Tensor) -> Tensor:
    """Return the squared distances from points (T, H, W, 2) to the nearest edge of a polygon (T, N, 2), (T, H, W).

    |p - a - t e|² = |p - a|² + t (t - 2 (p - a)·e) for an edge from a with direction e of length 1, where t is at most
    the edge's length; the products with p are matrix products. Frame by frame, because one fits in the CPU's cache.
    """
    edges = polygon.roll(-1, 1) - polygon
    lengths = edges.norm(dim=-1, keepdim=True)
    directions = edges / lengths.clamp_min(1e-6)
    along = torch.cat([directions, -(polygon * directions).sum(-1, keepdim=True)], -1)
    to_start = torch.cat([-2 * polygon, polygon.square().sum(-1, keepdim=True)], -1)
    if points.is_cuda:
        found = _segment_distances(polygon, points.flatten(1, 2), along, lengths)
        return torch.minimum(found, reach.square()[:, None]).view(points.shape[:3])
    nearest = reach.square()[:, None, None].expand(points.shape[:3]).contiguous()
    for n, (left, right, top, bottom) in enumerate(_boxes_around(polygon, points, reach)):
        if left == right or top == bottom:
            continue
        box = points[n, top:bottom, left:right].flatten(0, 1)
        is_whole = left > 0 and top > 0 and right < points.shape[2] and bottom < points.shape[1]
        near = slice(None) if is_whole else _edges_near(polygon[n], box, reach[n])
        homogeneous = F.pad(box, (0, 1), value=1.0).T
        projected, squared = along[n][near] @ homogeneous, to_start[n][near] @ homogeneous
        share = torch.minimum(projected, lengths[n][near]).clamp_min(0)
        squared = torch.addcmul(squared, share, torch.sub(share, projected, alpha=2))
        found = torch.minimum(squared.amin(0) + box.square().sum(-1), reach[n].square())
        nearest[n, top:bottom, left:right] = found.view(bottom - top, right - left)
    return nearest


def _segment_distances(polygon: Tensor, points: Tensor, along: Tensor, lengths: Tensor) -> Tensor:
    """Return the squared distances from points (T, P, 2) to the nearest edge, (T, P); at once is faster on a GPU."""
    projected = (F.pad(points, (0, 1), value=1.0) @ along.transpose(1, 2)).transpose(1, 2)
    share = torch.minimum(projected, lengths).clamp_min(0)
    nearest = polygon[:, :, None] + share[..., None] * along[:, :, None, :2]
    return (points[:, None] - nearest).square().sum(-1).amin(1)


def _boxes_around(polygon: Tensor, points: Tensor, reach: Tensor) -> list[list[int]]:
    """Return first and last column, first and last row of the pixels near polygons, (T, N, 2) and (T, H, W, 2)."""
    columns, rows = points[:, 0, :, 0], points[:, :, 0, 1]
    low, high = polygon.amin(1) - reach[:, None], polygon.amax(1) + reach[:, None]
    counts = [
        (places < limit[:, axis, None]).sum(1) for axis, places in enumerate((columns, rows)) for limit in (low, high)
    ]
    return torch.stack(counts, 1).tolist()


def _edges_near(polygon: Tensor, box: Tensor, reach: Tensor) -> Tensor:
    """Mark the edges of a polygon (N, 2) of which some part may be near some of the points (P, 2); one at least."""
    ends = torch.stack([polygon, polygon.roll(-1, 0)])
    beyond = (ends.amin(0) > box.amax(0) + reach) | (ends.amax(0) < box.amin(0) - reach)
    near = ~beyond.any(-1)
    return near if near.any() else torch.ones_like(near)


def _crossed(start: Tensor, end: Tensor, points: Tensor) -> Tensor:
    """Mark the edges that a ray to the right from each pixel crosses; (T, E, 2) and (T, H, W, 2) → (T, E, H, W)."""
    rows, columns = points[:, None, :, 0, 1], points[:, None, 0, :, 0]
    above, below = rows >= start[..., 1:], rows >= end[..., 1:]
    edges = end - start
    slope = edges[..., :1] / torch.where(edges[..., 1:] == 0, 1.0, edges[..., 1:])
    crossing = torch.where(above != below, start[..., :1] + (rows - start[..., 1:]) * slope, -torch.inf)
    return crossing[..., None] > columns[:, :, None]


def polygon_masks(polygons: Sequence[Tensor], size: int, softness: float | Tensor) -> Tensor:
    """Draw closed polygons with soft edges, in the coordinates of a square with corners ±1.

    Args:
        polygons: Corners in order, n tensors of shape (T, N, 2).
        size: Side of the masks in pixels, even.
        softness: Distance over which a mask falls from 0.73 to 0.27; or one for each frame, shape (T, 1, 1, 1).

    Returns:
        Masks in [0, 1], shape (T, n, size, size). Distances are smooth, so they are computed at half resolution.
    """
    coarse = pixel_grid(size // 2, size // 2).to(polygons[0]).expand(len(polygons[0]), -1, -1, -1)
    reach = FARTHEST * torch.as_tensor(softness).to(coarse).flatten()
    distance = F.interpolate(signed_distances(polygons, coarse, reach), (size, size), mode="bilinear")
    return ((torch.sigmoid(distance / softness) - _LEAST) / (1 - 2 * _LEAST)).clamp(0, 1)


def disc_mask(centre: Tensor, radius: Tensor, size: int, softness: float) -> Tensor:
    """Draw discs with soft edges: centre (T, 2), radius (T,) → (T, 1, size, size)."""
    pixels = pixel_grid(size, size).to(centre)
    distance = (pixels - centre[:, None, None]).norm(dim=-1)
    return torch.sigmoid((radius[:, None, None] - distance) / softness)[:, None]


@lru_cache(maxsize=32)
@torch.inference_mode(False)
def pixel_grid(height: int, width: int) -> Tensor:
    """Return pixel centres (x, y) with the picture's edges at ±1, shape (height, width, 2); never change them."""
    y = (2 * torch.arange(height, dtype=torch.float32, device="cpu") + 1) / height - 1
    x = (2 * torch.arange(width, dtype=torch.float32, device="cpu") + 1) / width - 1
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
