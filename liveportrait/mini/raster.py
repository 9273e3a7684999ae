"""Draw landmark polygons as soft masks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor


def signed_distances(polygons: Sequence[Tensor], points: Tensor) -> Tensor:
    """Measure the distances to the outlines of closed polygons, positive inside.

    Args:
        polygons: Corners in order, n tensors of shape (T, N, 2).
        points: Pixels of a regular grid, shape (T, H, W, 2), in the same coordinates: x depends on the column alone,
            y on the row.

    Returns:
        Distances in those coordinates, shape (T, n, H, W).
    """
    corners = [polygon.shape[1] for polygon in polygons]
    start, end = torch.cat(list(polygons), 1), torch.cat([polygon.roll(-1, 1) for polygon in polygons], 1)
    squared = [_squared_distances(polygon, points) for polygon in polygons]
    distance = torch.stack(squared, 1).clamp_min(0).sqrt()
    crossed = _crossed(start, end, points).flatten(2)
    inside = torch.stack([part.sum(1, dtype=torch.uint8) & 1 for part in crossed.split(corners, 1)], 1).bool()
    return torch.where(inside, distance, -distance).unflatten(-1, points.shape[1:3])


def _squared_distances(polygon: Tensor, points: Tensor) -> Tensor:
    """Return the squared distances from points (T, H, W, 2) to the nearest edge of a polygon (T, N, 2), (T, H · W).

    |p - a - t e|² = |p - a|² + t (t - 2 (p - a)·e) for an edge from a with direction e of length 1, where t is at most
    the edge's length; the products with p are matrix products. Frame by frame, because one fits in the CPU's cache.
    """
    edges = polygon.roll(-1, 1) - polygon
    lengths = edges.norm(dim=-1, keepdim=True)
    directions = edges / lengths.clamp_min(1e-6)
    along = torch.cat([directions, -(polygon * directions).sum(-1, keepdim=True)], -1)
    to_start = torch.cat([-2 * polygon, polygon.square().sum(-1, keepdim=True)], -1)
    nearest = []
    for frame, length, *products in zip(points.flatten(1, 2), lengths, along, to_start, strict=True):
        homogeneous = F.pad(frame, (0, 1), value=1.0).T
        projected, squared = (product @ homogeneous for product in products)
        share = torch.minimum(projected, length).clamp_min(0)
        squared = torch.addcmul(squared, share, torch.sub(share, projected, alpha=2))
        nearest.append(squared.amin(0) + frame.square().sum(-1))
    return torch.stack(nearest)


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
    distance = F.interpolate(signed_distances(polygons, coarse), (size, size), mode="bilinear")
    return torch.sigmoid(distance / softness)


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
