"""Draw landmark polygons as soft masks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def signed_distances(polygons: Sequence[Tensor], points: Tensor) -> Tensor:
    """Measure the distances to the outlines of closed polygons, positive inside.

    Args:
        polygons: Corners in order, n tensors of shape (T, N, 2).
        points: Where to measure, shape (T, H, W, 2), in the same coordinates.

    Returns:
        Distances in those coordinates, shape (T, n, H, W).
    """
    height, width = points.shape[1:3]
    corners = [polygon.shape[1] for polygon in polygons]
    start, end = torch.cat(list(polygons), 1), torch.cat([polygon.roll(-1, 1) for polygon in polygons], 1)
    px, py = (points[..., axis].reshape(len(points), -1, 1) for axis in (0, 1))
    ax, ay, bx, by = (ends[:, None, :, axis] for ends in (start, end) for axis in (0, 1))
    ex, ey, ox, oy = bx - ax, by - ay, px - ax, py - ay
    along = ((ox * ex + oy * ey) / (ex * ex + ey * ey).clamp_min(1e-12)).clamp_(0, 1)
    squared = (ox - along * ex).square_() + (oy - along * ey).square_()
    crosses = ((oy >= 0) != (py >= by)) & ((ox * ey < oy * ex) == (ey > 0))
    distance = torch.stack([part.amin(-1) for part in squared.split(corners, -1)], 1).sqrt_()
    inside = torch.stack([part.sum(-1) % 2 == 1 for part in crosses.split(corners, -1)], 1)
    return torch.where(inside, distance, -distance).unflatten(-1, (height, width))


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


def pixel_grid(height: int, width: int) -> Tensor:
    """Return pixel centres (x, y) with the picture's edges at ±1, shape (height, width, 2)."""
    y = (2 * torch.arange(height, dtype=torch.float32) + 1) / height - 1
    x = (2 * torch.arange(width, dtype=torch.float32) + 1) / width - 1
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
