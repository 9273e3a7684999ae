"""Building blocks of the embedded networks."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def conv3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3×3 convolution that keeps the size, or halves it with stride 2."""
    return nn.Conv2d(inputs, outputs, 3, stride, 1)


class ResBlock(nn.Module):
    """Residual block x + conv(act(conv(act(x)))) with a constant number of channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_0, self.conv_1 = conv3(channels, channels), conv3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (T, C, H, W) to the same shape."""
        return x + self.conv_1(F.silu(self.conv_0(F.silu(x))))


class Spade(nn.Module):
    """Spatially-adaptive normalisation with a thin conditioning path.

    Source: Park et al., "Semantic image synthesis with spatially-adaptive normalization", 2019, Eq. 1.
    """

    def __init__(self, channels: int, condition: int, hidden: int = 32) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(channels)
        self.shared = conv3(condition, hidden)
        self.scale_shift = nn.Conv2d(hidden, 2 * channels, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Normalise x (T, C, H, W), then scale and shift it by the condition (T, c, H, W)."""
        scale, shift = self.scale_shift(F.silu(self.shared(condition))).chunk(2, 1)
        return self.norm(x) * (1 + scale) + shift


class SpadeBlock(nn.Module):
    """Residual block with a SPADE norm before each of its two convolutions."""

    def __init__(self, channels: int, condition: int, hidden: int = 32) -> None:
        super().__init__()
        self.norm_0, self.norm_1 = Spade(channels, condition, hidden), Spade(channels, condition, hidden)
        self.conv_0, self.conv_1 = conv3(channels, channels), conv3(channels, channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Map x (T, C, H, W) to the same shape."""
        h = self.conv_0(F.silu(self.norm_0(x, condition)))
        return x + self.conv_1(F.silu(self.norm_1(h, condition)))
