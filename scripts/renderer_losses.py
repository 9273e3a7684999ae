"""What the renderer's training minimises."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from liveportrait.mini.raster import disc_mask
from liveportrait.mini.regions import LIPS, rows
from liveportrait.mini.renderer import Painted, Warp


def gradient_l1(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """Compare horizontal and vertical differences: edges matter more than plain colour."""
    d = a - b
    across = (d[..., :, 1:] - d[..., :, :-1]).abs() * weight[..., :, 1:]
    down = (d[..., 1:, :] - d[..., :-1, :]).abs() * weight[..., 1:, :]
    return across.mean() + down.mean()


def flow_loss(shown: Tensor, target: Tensor, weight: Tensor, warp: Warp) -> Tensor:
    """Photometric error of the warped and lit picture, and a small, smooth residual.

    Args:
        shown: Warped and lit source, shape (T, 3, H, W).
        target: Driving picture, same shape.
        weight: How much each pixel counts, shape (T, 1, H, W).
        warp: What was done to the source.
    """
    residual = warp.flow - warp.prior
    bend = (residual[:, 1:] - residual[:, :-1]).abs().mean() + (residual[:, :, 1:] - residual[:, :, :-1]).abs().mean()
    error = ((shown - target).abs() * weight).mean() + gradient_l1(shown, target, weight)
    return error + 0.5 * bend + 0.02 * residual.abs().mean() + 0.02 * warp.light.abs().mean()


def around_mouth(x: Tensor, size: int, weight: float) -> Tensor:
    """Return 1 + `weight` in a soft disc around the lips and 1 elsewhere, shape (T, 1, size, size)."""
    lips = x[:, rows(LIPS), :2]
    low, high = lips.amin(1), lips.amax(1)
    return 1 + weight * disc_mask((low + high) / 2, 0.8 * (high - low).amax(1), size, softness=0.03)


def paint_loss(painted: Painted, target: Tensor, hole_weight: float, occlusion_weight: float) -> Tensor:
    """Error of the finished patch, heavier inside mouth or eye, and a price on paint where warping would do.

    Args:
        painted: Result of the painter.
        target: The driving picture's patch, shape (T, 3, S, S).
        hole_weight: How much more the inside counts.
        occlusion_weight: Price of painting outside mouth or eye.
    """
    hole = F.max_pool2d(painted.masks[:, :1], 7, 1, 3)
    weight = 1 + hole_weight * hole
    blended = ((painted.blended - target).abs() * weight).mean() + gradient_l1(painted.blended, target, weight)
    color = ((painted.color - target).abs() * hole).mean()
    return blended + color + occlusion_weight * (painted.occlusion * (1 - hole)).mean()


class PatchDiscriminator(nn.Module):
    """Tells painted from real patches, given the driving masks; local verdicts and the features behind them."""

    def __init__(self, inputs: int, channels: int = 32) -> None:
        super().__init__()
        widths = [inputs, channels, 2 * channels, 4 * channels]
        self.layers = nn.ModuleList(spectral_norm(nn.Conv2d(a, b, 4, 2, 1)) for a, b in pairwise(widths))
        self.verdict = spectral_norm(nn.Conv2d(widths[-1], 1, 3, 1, 1))

    def forward(self, patch: Tensor, masks: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Judge patches (T, 3, S, S) with masks (T, m, S, S); positive means real."""
        h, features = torch.cat([patch, masks], 1), []
        for layer in self.layers:
            h = F.leaky_relu(layer(h), 0.2)
            features.append(h)
        return self.verdict(h), features


def discriminator_loss(judge: PatchDiscriminator, painted: Painted, target: Tensor) -> Tensor:
    """Hinge loss of the judge."""
    real, _ = judge(target, painted.masks)
    fake, _ = judge(painted.blended.detach(), painted.masks)
    return F.relu(1 - real.float()).mean() + F.relu(1 + fake.float()).mean()


def adversarial_loss(judge: PatchDiscriminator, painted: Painted, target: Tensor, matching: float) -> Tensor:
    """Hinge loss of the painter plus `matching` times the distance of the judge's features."""
    verdict, fake = judge(painted.blended, painted.masks)
    with torch.no_grad():
        _, real = judge(target, painted.masks)
    distance = sum((a.float() - b.float()).abs().mean() for a, b in zip(fake, real, strict=True))
    return matching * distance - verdict.float().mean()
