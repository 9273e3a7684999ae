"""Residual flow (W): correct the prior flow for hair, ears, neck and background, and predict lighting changes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liveportrait.mini.blocks import ResBlock, conv3

MAX_RESIDUAL = 0.2  # in crop units; a tenth of the crop
MAX_LIGHT = 0.25


class ResidualFlow(nn.Module):
    """A small U-Net on the coarse flow grid."""

    INPUTS = 3 + 3 + 2 + 2  # warped source, source, spline displacement, face masks (source, driving)

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        self.first = conv3(self.INPUTS, channels)
        self.down_0 = conv3(channels, 2 * channels, stride=2)
        self.down_1 = conv3(2 * channels, 3 * channels, stride=2)
        self.middle = nn.Sequential(ResBlock(3 * channels), ResBlock(3 * channels))
        self.up_1 = conv3(3 * channels, 2 * channels)
        self.up_0 = conv3(2 * channels, channels)
        self.last = conv3(channels, 2 + 3)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Predict residual flow and light.

        Args:
            inputs: Shape (T, INPUTS, G, G).

        Returns:
            Residual flow, shape (T, G, G, 2), within ±MAX_RESIDUAL; light to add to the warped picture,
            shape (T, 3, G, G), within ±MAX_LIGHT.
        """
        full = F.silu(self.first(inputs))
        half = F.silu(self.down_0(full))
        quarter = self.middle(F.silu(self.down_1(half)))
        half = half + self.up_1(F.interpolate(quarter, scale_factor=2.0))
        full = full + self.up_0(F.interpolate(F.silu(half), scale_factor=2.0))
        found = torch.tanh(self.last(F.silu(full)).float())
        return MAX_RESIDUAL * found[:, :2].permute(0, 2, 3, 1), MAX_LIGHT * found[:, 2:]
