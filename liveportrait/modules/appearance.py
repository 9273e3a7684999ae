"""F, the appearance extractor: from a source crop to a feature volume."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from liveportrait.config import AppearanceConfig
from liveportrait.modules.blocks import ConvBlock, ResidualBlock3d


class AppearanceExtractor(nn.Module):
    """F, the appearance extractor; runs once per source picture.

    Source: LivePortrait Fig. 3; upstream `src/modules/appearance_feature_extractor.py`.
    """

    def __init__(self, config: AppearanceConfig):
        super().__init__()
        widths = [config.width * 2**i for i in range(config.num_down + 1)]
        self.volume_channels, self.volume_depth = config.volume_channels, config.volume_depth
        self.first = ConvBlock(2, 3, widths[0])
        self.down_blocks = nn.ModuleList(
            ConvBlock(2, narrow, wide, pool=(2, 2)) for narrow, wide in itertools.pairwise(widths)
        )
        self.second = nn.Conv2d(widths[-1], config.volume_channels * config.volume_depth, 1)
        self.resblocks_3d = nn.Sequential()
        for i in range(config.num_residual):
            self.resblocks_3d.add_module(f"3dr{i}", ResidualBlock3d(config.volume_channels))

    def forward(self, image: Tensor) -> Tensor:
        """Extract the feature volume.

        Args:
            image: RGB in [0, 1], shape (B, 3, 256, 256).

        Returns:
            f_s, shape (B, 32, 16, 64, 64).
        """
        x = self.first(image)
        for block in self.down_blocks:
            x = block(x)
        x = self.second(x)
        # Channel-major: feature channel c at depth d is picture channel c * depth + d.
        x = x.unflatten(1, (self.volume_channels, self.volume_depth))
        return self.resblocks_3d(x)
