"""F and G for patches: encode the source's mouth or eye once, then paint what warping cannot produce."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liveportrait.mini.blocks import ResBlock, SpadeBlock, conv3


class PatchEncoder(nn.Module):
    """F: source patch and its masks → features at half (skip) and quarter resolution, packed into one tensor.

    Args:
        inputs: Channels of the patch and its masks.
        channels: Width of the deep features.
    """

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.first = conv3(inputs, channels // 2, stride=2)
        self.second = conv3(channels // 2, channels, stride=2)
        self.deep = nn.Sequential(ResBlock(channels), ResBlock(channels))

    def forward(self, patch: Tensor) -> Tensor:
        """Encode (T, inputs, S, S).

        Returns:
            Shape (T, 3 · channels, S/4, S/4): `channels` deep features, then channels/2 half-resolution features,
            each unshuffled into 2×2 channels.
        """
        half = F.silu(self.first(patch))
        deep = self.deep(F.silu(self.second(half)))
        return torch.cat([deep, F.pixel_unshuffle(half, 2)], 1)


class PatchDecoder(nn.Module):
    """G: a small SPADE decoder that upsamples to full resolution by pixel shuffle.

    Args:
        condition: Channels of the warped patch and what is drawn in it.
        channels: Width.
        blocks: Coarse SPADE blocks.
        encoded: Width of the encoder; None: the same.
        hidden: Width of the path that conditions a SPADE norm.
    """

    def __init__(
        self, condition: int, channels: int, blocks: int, encoded: int | None = None, hidden: int = 32
    ) -> None:
        super().__init__()
        self.condition, self.channels, self.encoded = condition, channels, encoded or channels
        half = channels // 2
        self.first = conv3(2 * self.encoded, channels)
        self.coarse = nn.ModuleList(SpadeBlock(channels, 4 * condition, hidden) for _ in range(blocks))
        self.up = conv3(channels, channels)
        self.merge = conv3(channels // 4 + self.encoded // 2, half)
        self.fine = nn.ModuleList(SpadeBlock(half, 4 * condition, hidden) for _ in range(2))
        self.last = conv3(half, 16)
        nn.init.constant_(self.last.bias[12:], -2.0)  # type: ignore[index]  # start training with the warped picture

    def prepare(self, f_s: Tensor) -> Tensor:
        """Do what depends on the source alone, a sixth of the work; a linear map of the features.

        Args:
            f_s: Source features from `PatchEncoder`, shape (T, 3 · encoded, S/4, S/4).

        Returns:
            First input of the coarse blocks, and the source's share of `merge`, packed: (T, 3 · channels, S/4, S/4).
        """
        deep, skip = f_s[:, : self.encoded], F.pixel_shuffle(f_s[:, self.encoded :], 2)
        overall = deep.mean((2, 3), keepdim=True).expand_as(deep)
        own = F.conv2d(skip, self.merge.weight[:, self.channels // 4 :], self.merge.bias, padding=1)
        return torch.cat([self.first(torch.cat([deep, overall], 1)), F.pixel_unshuffle(own, 2)], 1)

    def forward(self, prepared: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Decode a patch.

        Args:
            prepared: From `prepare`, shape (T, 3 · channels, S/4, S/4).
            condition: Warped patch and driving masks, shape (T, c, S, S).

        Returns:
            Colour (T, 3, S, S) in [0, 1] and occlusion (T, 1, S, S), the share of it that replaces the warped picture.
        """
        h, own = prepared[:, : self.channels], F.pixel_shuffle(prepared[:, self.channels :], 2)
        fine = F.pixel_unshuffle(condition, 2)
        coarse = F.avg_pool2d(fine, 2)
        for block in self.coarse:
            h = block(h, coarse)
        detail = F.pixel_shuffle(self.up(F.silu(h)), 2)
        h = F.conv2d(detail, self.merge.weight[:, : self.channels // 4], padding=1) + own
        for block in self.fine:
            h = block(h, fine)
        painted = F.pixel_shuffle(self.last(F.silu(h)), 2).float()
        return torch.sigmoid(painted[:, :3]), torch.sigmoid(painted[:, 3:])
