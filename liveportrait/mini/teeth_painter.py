"""Paint the mouth's inside from a set of teeth and what is around them: their shade, what lies below, and gums."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liveportrait.mini.blocks import ResBlock, conv3
from liveportrait.mini.painted import Painted
from liveportrait.mini.patches import edge_fade, neighbours, parted, widened
from liveportrait.mini.regions import LIPS_INNER, LIPS_OUTER
from liveportrait.mini.teeth import TEETH, limited_green

PAINTED = replace(TEETH, size=96, polygons=(LIPS_INNER, LIPS_OUTER))
"""The patch that is painted: where teeth lie, at a size that shows them."""

LIP_SHARE = -3.0  # logit of how much of the lips is repainted, before training
SHARPER = 3.0  # how much the detail of teeth is strengthened: to cut out what is learned, and to show it, blurs it
DARK, BRIGHT = 0.35, 0.65
"""Brightness over that of the brightest pixel: up to the first no tooth is shown, from the second on nothing else."""

DARKER = 0.4
"""Share of its light that a wide open mouth loses where no tooth is shown.

What a painter learns there is the mean of tongue, teeth and darkness: beside thin lips it looks like one of them."""
NARROW, WIDE = 0.25, 0.45
"""Height of an opening, in patch units, up to which nothing is darkened, and from which all of `DARKER` is."""


class TeethPainter(nn.Module):
    """A small U-Net over the patch of the teeth.

    Args:
        channels: Width at a quarter of the patch's side; half of it at half the side.
        blocks: Residual blocks at a quarter of the side.
    """

    INPUTS = 3 + 4 + 2 + 2 + 3  # what is below, teeth and opacity, masks, positions, colour of the skin

    def __init__(self, channels: int = 48, blocks: int = 3) -> None:
        super().__init__()
        half = channels // 2
        self.first = conv3(4 * self.INPUTS, half)
        self.down = conv3(half, channels, stride=2)
        self.blocks = nn.Sequential(*(ResBlock(channels) for _ in range(blocks)))
        self.up = conv3(channels, 2 * channels)
        self.merge, self.fine, self.last = conv3(2 * half, half), conv3(half, half), conv3(half, 16)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]  # training begins with the teeth as they are
        nn.init.constant_(self.last.bias[12:], LIP_SHARE)  # type: ignore[index]

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Look at patches from `Opening.seen`, shape (T, INPUTS, S, S).

        Returns:
            What is added to the colours, in (-1, 1), shape (T, 3, S, S), and the share of the lips that is repainted,
            shape (T, 1, S, S).
        """
        skip = F.silu(self.first(F.pixel_unshuffle(seen, 2)))
        deep = self.blocks(self.down(skip))
        up = F.pixel_shuffle(self.up(F.silu(deep)), 2)
        h = F.silu(self.merge(torch.cat([up, skip], 1)))
        painted = F.pixel_shuffle(self.last(F.silu(self.fine(h))), 2).float()
        return torch.tanh(painted[:, :3]), torch.sigmoid(painted[:, 3:])


class Opening(NamedTuple):
    """Mouths before their teeth are painted: T patches of `PAINTED`, with S its side.

    Attributes:
        below: What is painted so far, shape (T, 3, S, S).
        teeth: Colours and opacity of a set of teeth between the lips, shape (T, 4, S, S).
        masks: Inside of the lips, outside of the lips and perhaps more, shape (T, m, S, S).
        places: Positions of the pixels in the picture of the teeth, shape (T, S, S, 2).
        skin: From `skin_ratio`, shape (T, 3).
        hidden: How much of the mouth's inside the source does not show, shape (T, 1, 1, 1).
    """

    below: Tensor
    teeth: Tensor
    masks: Tensor
    places: Tensor
    skin: Tensor
    hidden: Tensor

    def seen(self) -> Tensor:
        """Return what the painter looks at, shape (T, TeethPainter.INPUTS, S, S)."""
        color, opacity = self.teeth[:, :3], self.teeth[:, 3:]
        skin = self.skin.log()[..., None, None].expand_as(color)
        where = self.places.permute(0, 3, 1, 2)
        return torch.cat([self.below, color * opacity, opacity, self.masks[:, :2], where, skin], 1)

    def painted(self, change: Tensor, share: Tensor) -> Painted:
        """Return the patch for what the painter returns; lips are repainted only as far as they are parted."""
        color = (torch.lerp(self.below, self.teeth[:, :3], self.teeth[:, 3:]) + change).clamp(0, 1)
        opened = parted(self.masks)
        lips = share * widened(self.masks[:, 1:2]) * opened.amax((2, 3), keepdim=True)
        occlusion = torch.maximum(opened, lips) * self.hidden * edge_fade(PAINTED.size).to(color)
        return Painted(self.below, color, occlusion, self.masks)

    def finished(self, painted: Painted) -> Painted:
        """Return the patch without the grid of two pixels that a network leaves, and with sharp teeth.

        Teeth are not green, see `teeth_color`.
        """
        smooth = smoothed(painted.color, 1)
        soft = smoothed(smooth, 2)
        found = (soft + (1 + SHARPER * smoothed(self.bright(), 1)) * (smooth - soft)).clamp(0, 1)
        red, green, blue = found.unbind(1)
        return replace(painted, color=torch.stack([red, limited_green(red, green, blue), blue], 1))

    def bright(self) -> Tensor:
        """Return where the set shows teeth, not the dark around them, shape (T, 1, S, S)."""
        brightness = self.teeth[:, :3].mean(1, keepdim=True)
        share = brightness / brightness.amax((2, 3), keepdim=True).clamp_min(1e-3)
        return ((share - DARK) / (BRIGHT - DARK)).clamp(0, 1) * self.teeth[:, 3:]

    def shaded(self, painted: Painted) -> Painted:
        """Return the patch with a wide open mouth darkened where it shows no teeth, see `DARKER`.

        Light that comes out of a mouth has met its walls more than once, and each time took their colour. So what is
        darkened gets more colour, too; grey pictures stay grey. Painters are trained without this: they would learn to
        make up for it.
        """
        opened = parted(self.masks)
        height = opened.sum(2, keepdim=True).amax(3, keepdim=True) * (2 / opened.shape[2])
        strength = ((height - NARROW) / (WIDE - NARROW)).clamp(0, 1)
        shade = strength * smoothed(opened * (1 - smoothed(self.bright(), 2)), 1)
        tint = (painted.color / painted.color.mean(1, keepdim=True).clamp_min(1e-3)).sqrt()
        color = painted.color * (1 - DARKER * shade) * (1 + shade * (tint - 1))
        return replace(painted, color=color.clamp(max=1))


def smoothed(pictures: Tensor, times: int) -> Tensor:
    """Average pictures (T, C, S, S), so often, with weights 1, 2, 1: nothing of a grid of two pixels is left.

    On a CPU `avg_pool2d` takes ten times as long.
    """
    for _ in range(times):
        for axis in (2, 3):
            before, middle, after = neighbours(pictures, axis, "replicate")
            pictures = 0.25 * (before + after) + 0.5 * middle
    return pictures
