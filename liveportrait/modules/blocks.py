"""Blocks shared by the convolutional networks. Attribute names match the official checkpoints."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from liveportrait.modules.exact_conv import conv_of_upsampled

_CONV = {2: nn.Conv2d, 3: nn.Conv3d}
_NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


class ConvBlock(nn.Module):
    """Optional 2× upsampling, 3-wide convolution, batch norm, activation and optional average pooling."""

    def __init__(
        self,
        dims: int,
        in_channels: int,
        out_channels: int,
        upsample: bool = False,
        pool: tuple[int, ...] | None = None,
        negative_slope: float = 0.0,
    ):
        super().__init__()
        self.conv = _CONV[dims](in_channels, out_channels, 3, padding=1)
        self.norm = _NORM[dims](out_channels)
        self.upsample, self.pool, self.negative_slope = upsample, pool, negative_slope
        self._average = F.avg_pool2d if dims == 2 else F.avg_pool3d

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, ...) to (B, out_channels, ...)."""
        x = conv_of_upsampled(x, self.conv.weight, self.conv.bias, 2) if self.upsample else self.conv(x)
        x = F.leaky_relu(self.norm(x), self.negative_slope)
        return x if self.pool is None else self._average(x, self.pool)


class ResidualBlock3d(nn.Module):
    """Pre-activation residual block on a volume."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm1 = nn.BatchNorm3d(channels)
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1)
        self.norm2 = nn.BatchNorm3d(channels)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Add the output of two convolutions to x, shape (B, channels, D, H, W)."""
        y = self.conv1(F.relu(self.norm1(x)))
        return x + self.conv2(F.relu(self.norm2(y)))
