"""What the renderer's training minimises."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liveportrait.mini.painted import Painted
from liveportrait.mini.raster import disc_mask
from liveportrait.mini.regions import LIPS, rows
from liveportrait.mini.warp import Warp
from liveportrait.training.perception import STAGES, Features

WIDTHS = [widths[-1] for widths in STAGES]


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
    return error + bend + 0.02 * residual.abs().mean() + 0.02 * warp.light.abs().mean()


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


class Discriminator(nn.Module):
    """Tells painted from real mouths or eyes by the features of a perception, place by place.

    Features that were learned elsewhere show it in some fifty steps what pixels do not show it in hundreds.

    Args:
        masks: How many driving masks tell it what should be there.
        channels: Width of its layers.

    Source: Sauer et al., "Projected GANs converge faster", 2021; without their random mixing of features.
    """

    STAGES = (1, 2)  # of the perception: sharp enough for teeth, wide enough for a mouth

    def __init__(self, masks: int, channels: int = 64) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(WIDTHS[stage] + masks, channels, 3, 1, 1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(channels, channels, 3, 2, 1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(channels, 1, 3, 1, 1),
            )
            for stage in self.STAGES
        )

    def forward(self, features: Features, masks: Tensor) -> list[Tensor]:
        """Judge what a perception saw where masks (T, m, S, S) were asked for; positive means real."""
        verdicts = []
        for head, stage in zip(self.heads, self.STAGES, strict=True):
            seen = features[stage] * WIDTHS[stage] ** 0.5  # of unit length; now of unit deviation
            verdicts.append(head(torch.cat([seen, F.adaptive_avg_pool2d(masks, seen.shape[-1])], 1)).float())
        return verdicts


def discriminator_loss(
    discriminator: Discriminator, shown: Features, real: Features, masks: Tensor, real_masks: Tensor | None = None
) -> Tensor:
    """Hinge loss of the discriminator, over the places in and around mouth or eye; both have the same masks, or own."""
    real_masks = masks if real_masks is None else real_masks
    fake = [F.relu(1 + verdict) for verdict in discriminator([seen.detach() for seen in shown], masks)]
    true = [F.relu(1 - verdict) for verdict in discriminator(real, real_masks)]
    return _in_hole(fake, masks) + _in_hole(true, real_masks)


def generator_loss(discriminator: Discriminator, shown: Features, masks: Tensor) -> Tensor:
    """Hinge loss of the painter: how far the discriminator takes its work for painted."""
    return -_in_hole(discriminator(shown, masks), masks)


def add_scaled(first: Tensor, second: Tensor, share: float) -> Tensor:
    """Add a second gradient to a first one, scaled to a share of the first one's size.

    Source: Esser et al., "Taming transformers for high-resolution image synthesis", 2021, Eq. 7, at the picture.
    """
    return first + share * first.norm() / second.norm().clamp_min(1e-12) * second


def _in_hole(maps: list[Tensor], masks: Tensor) -> Tensor:
    """Average maps (T, 1, h, w) of several sizes over the first mask's inside."""
    total = maps[0].new_zeros(())
    for values in maps:
        inside = F.adaptive_max_pool2d(masks[:, :1], values.shape[-1])
        total = total + (values * inside).sum() / inside.sum().clamp_min(1.0)
    return total / len(maps)
