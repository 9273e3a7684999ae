"""W, the warping network: warp the source's feature volume to the driving keypoints."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from liveportrait.config import WarpingConfig
from liveportrait.modules.blocks import ConvBlock
from liveportrait.modules.dense_motion import DenseMotion, DenseMotionNetwork
from liveportrait.modules.sampling import Sampler, default_sampler, sample_volume


class SourceVolume(NamedTuple):
    """Input of W that depends only on the source.

    Attributes:
        volume: f_s, shape (T, 32, 16, 64, 64).
        compressed: The channels that are warped by each motion, shape (T, 4, 16, 64, 64).
    """

    volume: Tensor
    compressed: Tensor


class Warped(NamedTuple):
    """Output of W.

    Attributes:
        feature: Input of the decoder, shape (B, 256, 64, 64).
        motion: Sampling grid, occlusion map and masks.
    """

    feature: Tensor
    motion: DenseMotion


class WarpingNetwork(nn.Module):
    """W, the warping network.

    Attributes:
        sampler: "native" or "planar" (no 5-D grid_sample) sampling; None chooses by device.

    Source: LivePortrait Fig. 3; upstream `src/modules/warping_network.py`.
    """

    sampler: Sampler | None = None

    def __init__(self, config: WarpingConfig):
        super().__init__()
        flat = config.volume_channels * config.volume_depth
        self.dense_motion_network = DenseMotionNetwork(config)
        self.third = ConvBlock(2, flat, config.out_channels, negative_slope=0.01)
        self.fourth = nn.Conv2d(config.out_channels, config.out_channels, 1)

    def prepare(self, volume: Tensor) -> SourceVolume:
        """Compute the source-dependent input from the volume f_s, shape (T, 32, 16, 64, 64)."""
        return SourceVolume(volume, self.dense_motion_network.compress_volume(volume))

    def forward(self, source: SourceVolume, kp_source: Tensor, kp_driving: Tensor) -> Warped:
        """Warp a source.

        Args:
            source: Output of `prepare` for one source or for B of them.
            kp_source: x_s, shape (B, K, 3).
            kp_driving: x_d, shape (B, K, 3).

        Returns:
            The warped feature map and its motion.
        """
        motion = self.dense_motion_network(source.compressed, kp_source, kp_driving)
        sampler = self.sampler or default_sampler(source.volume.device)
        x = sample_volume(source.volume, motion.deformation, sampler).flatten(1, 2)
        x = self.fourth(self.third(x)) * motion.occlusion
        return Warped(x, motion)
