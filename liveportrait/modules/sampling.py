"""Trilinear sampling of volumes, zeros outside, align_corners=False; also without 5-D grid_sample.

Coordinates are x, y, z in [-1, 1], and pixel = ((g + 1) n - 1) / 2. Geometry is computed in float32 whatever
the precision of the networks: in half precision a coordinate would be off by hundredths of a voxel.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Sampler = Literal["native", "planar"]


def default_sampler(device: torch.device) -> Sampler:
    """Return "native" where that operator is fast and correct, else "planar" (on Metal it is slow or wrong)."""
    return "native" if device.type in ("cpu", "cuda") else "planar"


def coordinate_axis(n: int, like: Tensor) -> Tensor:
    """Return n coordinates from -1 to 1, both ends included, shape (n,).

    The end points are included, although sampling treats -1 and 1 as the outer edges of the border voxels. An
    identity grid therefore samples slightly beyond the voxels' centres; the official weights were trained like this.
    """
    return 2 * torch.arange(n, device=like.device, dtype=torch.float32) / (n - 1) - 1


def identity_grid(volume: Tensor) -> Tensor:
    """Return x, y, z of each voxel, shape (D, H, W, 3), for a tensor whose last three axes are D, H and W."""
    shape = volume.shape[-3:]
    z, y, x = (coordinate_axis(n, volume) for n in shape)
    return torch.stack([x.expand(shape), y[:, None].expand(shape), z[:, None, None].expand(shape)], -1)


def sample_volume(volume: Tensor, grid: Tensor, sampler: Sampler) -> Tensor:
    """Sample a volume on a dense grid.

    Args:
        volume: Shape (1 or B, C, D, H, W).
        grid: Coordinates, shape (B, d, h, w, 3).
        sampler: "native" uses the 5-D operator, "planar" two 4-D ones.

    Returns:
        Samples with the volume's dtype, shape (B, C, d, h, w).
    """
    with torch.autocast(volume.device.type, enabled=False):
        volume32, grid = volume.float(), grid.float()
        if sampler == "native":
            volume32 = volume32.expand(grid.shape[0], -1, -1, -1, -1)
            # Metal returns wrong samples for non-contiguous grids.
            sampled = F.grid_sample(volume32, grid.contiguous(), "bilinear", "zeros", align_corners=False)
        else:
            sampled = _sample_planar(volume32, grid)
    return sampled.to(volume.dtype)


def _sample_planar(volume: Tensor, grid: Tensor) -> Tensor:
    """Sample with two 2-D operators on the volume's slices, stacked into one tall picture.

    Each slice is padded with a row of zeros above and below, so that vertical interpolation does not reach into its
    neighbours. Depth is interpolated between the two slices around a point.
    """
    depth, height = volume.shape[2:4]
    num, d, h, w, _ = grid.shape
    tall = F.pad(volume, (0, 0, 1, 1)).flatten(2, 3).expand(num, -1, -1, -1)
    x, y, z = grid.unbind(-1)
    y = (((y + 1) * height - 1) / 2).clamp(-1, height) + 1
    z = ((z + 1) * depth - 1) / 2
    below = z.floor()
    rows = depth * (height + 2)
    result = None
    for slice_index, weight in ((below, 1 - (z - below)), (below + 1, z - below)):
        row = slice_index.clamp(0, depth - 1) * (height + 2) + y
        flat = torch.stack([x, (2 * row + 1) / rows - 1], -1).reshape(num, d * h, w, 2)
        plane = F.grid_sample(tall, flat, "bilinear", "zeros", align_corners=False)
        inside = (slice_index >= 0) & (slice_index < depth)
        part = plane.unflatten(2, (d, h)) * (weight * inside)[:, None]
        result = part if result is None else result + part
    assert result is not None
    return result


def shift_volume(volume: Tensor, shifts: Tensor) -> Tensor:
    """Sample a volume on the identity grid, translated by each of M shifts.

    For a translated identity grid, trilinear sampling is separable into one small matrix per axis: three matrix
    products and no gather, with an exact result.

    Args:
        volume: Shape (1 or B, C, D, H, W).
        shifts: x, y, z shift of each motion, shape (B, M, 3).

    Returns:
        Samples with the volume's dtype, shape (B, M, C, D, H, W).
    """
    with torch.autocast(volume.device.type, enabled=False):
        dx, dy, dz = shifts.float().unbind(-1)
        depth, height, width = volume.shape[2:]
        along_x = _interpolation_matrix(width, dx).transpose(2, 3)
        along_y = _interpolation_matrix(height, dy)
        along_z = _interpolation_matrix(depth, dz)
        num, motions = shifts.shape[:2]
        volume32 = volume.float().expand(num, -1, -1, -1, -1)
        channels = volume.shape[1]
        x = volume32.reshape(num, 1, -1, width) @ along_x
        x = along_y[:, :, None] @ x.reshape(num, motions, -1, height, width)
        x = along_z[:, :, None] @ x.reshape(num, motions, channels, depth, height * width)
    return x.reshape(num, motions, channels, depth, height, width).to(volume.dtype)


def _interpolation_matrix(n: int, shift: Tensor) -> Tensor:
    """Return the interpolation weights from n voxels to n shifted samples, shape (*shift.shape, n, n)."""
    position = ((coordinate_axis(n, shift) + shift[..., None] + 1) * n - 1) / 2
    voxel = torch.arange(n, device=shift.device, dtype=torch.float32)
    return (1 - (position[..., None] - voxel).abs()).clamp(min=0)
