"""Draw landmark polygons as soft masks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def signed_distance(polygon: Tensor, points: Tensor) -> Tensor:
    """Measure the distance to a closed polygon's outline, positive inside.

    Args:
        polygon: Corners in order, shape (T, N, 2).
        points: Where to measure, shape (T, H, W, 2), in the same coordinates.

    Returns:
        Distances in those coordinates, shape (T, 1, H, W).
    """
    height, width = points.shape[1:3]
    px, py = (points[..., axis].reshape(len(points), -1, 1) for axis in (0, 1))
    ax, ay = (polygon[:, None, :, axis] for axis in (0, 1))
    bx, by = (polygon.roll(-1, 1)[:, None, :, axis] for axis in (0, 1))
    ex, ey, ox, oy = bx - ax, by - ay, px - ax, py - ay
    along = ((ox * ex + oy * ey) / (ex * ex + ey * ey).clamp_min(1e-12)).clamp_(0, 1)
    distance = ((ox - along * ex).square_() + (oy - along * ey).square_()).amin(-1).sqrt()
    crosses = ((oy >= 0) != (py >= by)) & ((ox * ey < oy * ex) == (ey > 0))
    inside = crosses.sum(-1) % 2 == 1
    return torch.where(inside, distance, -distance).reshape(-1, 1, height, width)


def polygon_mask(polygon: Tensor, size: int, softness: float) -> Tensor:
    """Draw a closed polygon, given in the coordinates of a square with corners ±1, with soft edges.

    Args:
        polygon: Corners in order, shape (T, N, 2).
        size: Side of the mask in pixels, even.
        softness: Distance over which the mask falls from 0.73 to 0.27.

    Returns:
        Mask in [0, 1], shape (T, 1, size, size). The distance is measured on every second pixel: it is smooth.
    """
    coarse = pixel_grid(size // 2, size // 2).to(polygon).expand(len(polygon), -1, -1, -1)
    distance = F.interpolate(signed_distance(polygon, coarse), (size, size), mode="bilinear")
    return torch.sigmoid(distance / softness)


def disc_mask(centre: Tensor, radius: Tensor, size: int, softness: float) -> Tensor:
    """Draw discs with soft edges: centre (T, 2), radius (T,) → (T, 1, size, size)."""
    pixels = pixel_grid(size, size).to(centre)
    distance = (pixels - centre[:, None, None]).norm(dim=-1)
    return torch.sigmoid((radius[:, None, None] - distance) / softness)[:, None]


def pixel_grid(height: int, width: int) -> Tensor:
    """Return pixel centres (x, y) with the picture's edges at ±1, shape (height, width, 2)."""
    y = (2 * torch.arange(height) + 1) / height - 1
    x = (2 * torch.arange(width) + 1) / width - 1
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
