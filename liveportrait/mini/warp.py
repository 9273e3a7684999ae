"""What W returns: where each position of the output comes from, and how its light changes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from liveportrait.mini.patches import sample
from liveportrait.mini.picture_edges import keep_inside


@dataclass(frozen=True)
class Warp:
    """Flow and lighting change of a source, on a coarse grid.

    Attributes:
        flow: Source position of each output position, shape (T, FLOW_SIZE, FLOW_SIZE, 2).
        prior: Its analytic part, the prior flow, same shape.
        light: Values to add to the warped source, shape (T, 3, FLOW_SIZE, FLOW_SIZE).
    """

    flow: Tensor
    prior: Tensor
    light: Tensor

    def apply(self, image: Tensor) -> Tensor:
        """Warp pictures (T, 3, H, W) and add the light."""
        height, width = image.shape[2:]
        light = F.interpolate(self.light, (height, width), mode="bilinear")
        return sample(image, resize_flow(self.flow, height, width)).add_(light)

    def shift(self, image: Tensor) -> Tensor:
        """Warp pictures (1 or T, C, H, W) without adding the light."""
        return sample(image.expand(len(self.flow), -1, -1, -1), resize_flow(self.flow, *image.shape[2:]))

    def apply_at(self, image: Tensor, points: Tensor) -> Tensor:
        """Warp pictures (T, 3, H, W) and add the light, only at output positions (T, h, w, 2)."""
        fields = sample(torch.cat([self.flow.permute(0, 3, 1, 2), self.light], 1), points)
        return sample(image, fields[:, :2].permute(0, 2, 3, 1)) + fields[:, 2:]

    def at(self, frames: Tensor) -> Warp:
        """Return the warp of some frames (n,)."""
        return Warp(self.flow[frames], self.prior[frames], self.light[frames])

    def darkened(self, factor: Tensor) -> Warp:
        """Undo `brighten`."""
        return replace(self, light=self.light / factor)

    def kept_inside(self, edges: Tensor | None) -> Warp:
        """Take no colour from beyond the picture's edges, given as `Crop.edges`; None changes nothing."""
        return self if edges is None else replace(self, flow=keep_inside(self.flow, edges))

    def detach(self) -> Warp:
        """Return the same warp without gradients."""
        return Warp(self.flow.detach(), self.prior, self.light.detach())


def resize_flow(flow: Tensor, height: int, width: int) -> Tensor:
    """Upsample a flow field (T, G, G, 2) to (T, height, width, 2)."""
    planes = flow.permute(0, 3, 1, 2).contiguous()  # four times as fast as with interleaved channels
    return F.interpolate(planes, (height, width), mode="bilinear").permute(0, 2, 3, 1)
