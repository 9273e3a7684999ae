"""G, the decoder: convert a warped feature map to a picture, conditioned on that map in each layer (SPADE)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from liveportrait.config import GeneratorConfig
from liveportrait.modules.exact_conv import conv_of_upsampled

_SLOPE = 0.2


class SpadeNorm(nn.Module):
    """Spatially adaptive normalisation: scale and shift a normalised map, conditioned on the feature map."""

    def __init__(self, channels: int, config: GeneratorConfig):
        super().__init__()
        self.mlp_shared = nn.Sequential(nn.Conv2d(config.feature_channels, config.hidden, 3, padding=1))
        self.mlp_gamma = nn.Conv2d(config.hidden, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(config.hidden, channels, 3, padding=1)

    def forward(self, normalised: Tensor, feature: Tensor) -> Tensor:
        """Apply scale and shift.

        Args:
            normalised: Instance-normalised map, shape (B, channels, H, W).
            feature: The conditioning map at its original size, shape (B, 256, h, w).

        Returns:
            normalised * (1 + gamma) + beta, shape (B, channels, H, W).
        """
        factor = normalised.shape[-1] // feature.shape[-1]
        shared = self.mlp_shared.get_parameter("0.weight"), self.mlp_shared.get_parameter("0.bias")
        hidden = F.relu(conv_of_upsampled(feature, *shared, factor))
        return normalised * (1 + self.mlp_gamma(hidden)) + self.mlp_beta(hidden)


class SpadeBlock(nn.Module):
    """Residual block of two modulated convolutions, with a third on the shortcut if the width changes."""

    def __init__(self, in_channels: int, out_channels: int, config: GeneratorConfig):
        super().__init__()
        middle = min(in_channels, out_channels)
        self.conv_0 = nn.Conv2d(in_channels, middle, 3, padding=1)
        self.conv_1 = nn.Conv2d(middle, out_channels, 3, padding=1)
        self.norm_0 = SpadeNorm(in_channels, config)
        self.norm_1 = SpadeNorm(middle, config)
        self.learned_shortcut = in_channels != out_channels
        if self.learned_shortcut:
            self.conv_s = nn.Conv2d(in_channels, out_channels, 1, bias=False)
            self.norm_s = SpadeNorm(in_channels, config)

    def forward(self, x: Tensor, feature: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, out_channels, H, W)."""
        normalised = F.instance_norm(x)
        shortcut = self.conv_s(self.norm_s(normalised, feature)) if self.learned_shortcut else x
        y = self.conv_0(F.leaky_relu(self.norm_0(normalised, feature), _SLOPE))
        y = self.conv_1(F.leaky_relu(self.norm_1(F.instance_norm(y), feature), _SLOPE))
        return shortcut + y


class SpadeGenerator(nn.Module):
    """G, the SPADE decoder.

    Source: LivePortrait §3.2 (SPADE decoder with pixel shuffle); upstream `src/modules/spade_generator.py`.
    """

    def __init__(self, config: GeneratorConfig):
        super().__init__()
        self.num_middle = config.num_middle
        self.fc = nn.Conv2d(config.feature_channels, config.width, 3, padding=1)
        for i in range(config.num_middle):
            self.add_module(f"G_middle_{i}", SpadeBlock(config.width, config.width, config))
        self.num_up = config.num_up
        widths = [*(config.width // 2**i for i in range(config.num_up)), config.last_width]
        for i in range(config.num_up):
            self.add_module(f"up_{i}", SpadeBlock(widths[i], widths[i + 1], config))
        last = nn.Conv2d(config.last_width, 3 * config.upscale**2, 3, padding=1)
        self.conv_img = nn.Sequential(last, nn.PixelShuffle(config.upscale))

    def forward(self, feature: Tensor) -> Tensor:
        """Decode a feature map.

        Args:
            feature: Warped feature map, shape (B, 256, 64, 64).

        Returns:
            RGB in (0, 1), shape (B, 3, 512, 512).
        """
        x = self.fc(feature)
        for i in range(self.num_middle):
            x = self.get_submodule(f"G_middle_{i}")(x, feature)
        for i in range(self.num_up):
            x = self.get_submodule(f"up_{i}")(F.interpolate(x, scale_factor=2, mode="nearest"), feature)
        return self.conv_img(F.leaky_relu(x, _SLOPE)).sigmoid()


def fold_spectral_norm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Divide spectrally normalised weights by their norm, as upstream does in each forward pass in eval mode.

    Args:
        state: Official state dict with `weight_orig`, `weight_u` and `weight_v` entries.

    Returns:
        The same with plain `weight` entries: weight_orig / (u · weight_orig v), u and v as stored.
    """
    folded = {}
    for name, value in state.items():
        if name.endswith(".weight_orig"):
            stem = name.removesuffix("orig")
            sigma = state[stem + "u"] @ value.flatten(1).mv(state[stem + "v"])
            folded[stem.removesuffix("_")] = value / sigma
        elif not name.endswith((".weight_u", ".weight_v")):
            folded[name] = value
    return folded
