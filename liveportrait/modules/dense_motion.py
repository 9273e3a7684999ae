"""The dense motion network inside W: from keypoints to a sampling grid and an occlusion map."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from liveportrait.config import WarpingConfig
from liveportrait.modules.blocks import ConvBlock
from liveportrait.modules.exact_conv import DepthSplitConv3d, SingleOutputConv2d
from liveportrait.modules.sampling import coordinate_axis, identity_grid, shift_volume

HEATMAP_VARIANCE = 0.01


class DenseMotion(NamedTuple):
    """Source position of each voxel of the warped volume, and the occlusion map.

    Attributes:
        deformation: Sampling grid, shape (B, D, H, W, 3), float32.
        occlusion: Visibility in [0, 1], shape (B, 1, H, W).
        mask: Share of each motion, the identity first, shape (B, K + 1, D, H, W).
    """

    deformation: Tensor
    occlusion: Tensor
    mask: Tensor


class HourglassEncoder(nn.Module):
    """Downsampling half of the hourglass; each block halves height and width and keeps the depth."""

    def __init__(self, in_channels: int, widths: list[int]):
        super().__init__()
        self.down_blocks = nn.ModuleList(
            ConvBlock(3, narrow, wide, pool=(1, 2, 2))
            for narrow, wide in zip([in_channels, *widths], widths, strict=False)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the input and the output of every block."""
        levels = [x]
        for block in self.down_blocks:
            levels.append(block(levels[-1]))
        return levels


class HourglassDecoder(nn.Module):
    """Upsampling half of the hourglass; each block's output is concatenated with the encoder's output of that size."""

    def __init__(self, skip_widths: list[int], out_widths: list[int]):
        super().__init__()
        blocks, channels = [], skip_widths[-1]
        for skip, out in zip(reversed(skip_widths[:-1]), out_widths, strict=True):
            blocks.append(ConvBlock(3, channels, out, upsample=True))
            channels = out + skip
        self.up_blocks = nn.ModuleList(blocks)
        self.conv = nn.Conv3d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm3d(channels)
        self.out_channels = channels

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Map the encoder's levels to a volume of the first level's size."""
        x = levels[-1]
        for block, skip in zip(self.up_blocks, reversed(levels[:-1]), strict=True):
            x = torch.cat([block(x), skip], 1)
        return F.relu(self.norm(self.conv(x)))


class Hourglass(nn.Module):
    """Encoder and decoder with skip connections."""

    def __init__(self, in_channels: int, config: WarpingConfig):
        super().__init__()
        widths = [min(config.max_width, config.width * 2 ** (i + 1)) for i in range(config.num_blocks)]
        out_widths = [min(config.max_width, config.width * 2**i) for i in reversed(range(config.num_blocks))]
        self.encoder = HourglassEncoder(in_channels, widths)
        self.decoder = HourglassDecoder([in_channels, *widths], out_widths)
        self.out_channels = self.decoder.out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, D, H, W) to (B, out_channels, D, H, W)."""
        return self.decoder(self.encoder(x))


class DenseMotionNetwork(nn.Module):
    """Weight the motions of all keypoints, and the identity motion, at each voxel.

    Source: upstream `src/modules/dense_motion.py`.
    """

    def __init__(self, config: WarpingConfig):
        super().__init__()
        motions, kernel = config.num_keypoints + 1, config.mask_kernel
        self.compress = nn.Conv3d(config.volume_channels, config.compressed_channels, 1)
        self.norm = nn.BatchNorm3d(config.compressed_channels)
        self.hourglass = Hourglass(motions * (config.compressed_channels + 1), config)
        self.mask = DepthSplitConv3d(self.hourglass.out_channels, motions, kernel, padding=kernel // 2)
        flat = self.hourglass.out_channels * config.volume_depth
        self.occlusion = SingleOutputConv2d(flat, 1, kernel, padding=kernel // 2)

    def compress_volume(self, volume: Tensor) -> Tensor:
        """Reduce f_s to the few channels that are warped by each motion; depends only on the source."""
        return F.relu(self.norm(self.compress(volume)))

    def forward(self, compressed: Tensor, kp_source: Tensor, kp_driving: Tensor) -> DenseMotion:
        """Estimate the motion of each voxel.

        Args:
            compressed: Output of `compress_volume`, shape (1 or B, 4, 16, 64, 64).
            kp_source: x_s, shape (B, K, 3).
            kp_driving: x_d, shape (B, K, 3).

        Returns:
            The sampling grid, the occlusion map and the masks.
        """
        shifts = F.pad(kp_source - kp_driving, (0, 0, 1, 0))
        deformed = shift_volume(compressed, shifts)
        heatmap = motion_heatmaps(kp_source, kp_driving, compressed).to(deformed.dtype)
        x = self.hourglass(torch.cat([heatmap[:, :, None], deformed], 2).flatten(1, 2))
        mask = self.mask(x).softmax(1)
        occlusion = self.occlusion(x.flatten(1, 2)).sigmoid()
        return DenseMotion(blend_motions(mask, shifts), occlusion, mask)


def motion_heatmaps(kp_source: Tensor, kp_driving: Tensor, volume: Tensor) -> Tensor:
    """Draw heatmaps of each keypoint's driving and source position.

    Args:
        kp_source: Shape (B, K, 3).
        kp_driving: Shape (B, K, 3).
        volume: A tensor whose last three axes are depth, height and width.

    Returns:
        Gaussian at the driving point minus Gaussian at the source point; motion 0, the identity, is zero.
        Shape (B, K + 1, D, H, W).
    """
    return F.pad(_gaussians(kp_driving, volume) - _gaussians(kp_source, volume), (0, 0, 0, 0, 0, 0, 1, 0))


def _gaussians(keypoints: Tensor, volume: Tensor) -> Tensor:
    """Return exp(-|p - keypoint|² / 2σ²) at each voxel p, as a product over axes, shape (B, K, D, H, W)."""
    depth, height, width = volume.shape[-3:]

    def along(axis: int, n: int) -> Tensor:
        distance = coordinate_axis(n, volume) - keypoints[..., axis, None]
        return torch.exp(-0.5 * distance.square() / HEATMAP_VARIANCE)

    x, y, z = along(0, width), along(1, height), along(2, depth)
    return z[..., :, None, None] * y[..., None, :, None] * x[..., None, None, :]


def blend_motions(mask: Tensor, shifts: Tensor) -> Tensor:
    """Sum the motions G + shift_m, each weighted by its mask.

    The masks of a voxel sum to one, so the identity grid G is added only once.

    Args:
        mask: Shape (B, M, D, H, W).
        shifts: Shape (B, M, 3).

    Returns:
        Sampling grid, shape (B, D, H, W, 3), float32.
    """
    with torch.autocast(mask.device.type, enabled=False):
        moved = shifts.float().transpose(1, 2) @ mask.float().flatten(2)
        return identity_grid(mask) + moved.unflatten(2, mask.shape[2:]).permute(0, 2, 3, 4, 1)
