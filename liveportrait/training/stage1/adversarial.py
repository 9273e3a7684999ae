"""The cascade of discriminators of stage I: whole picture, face and lips."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

Judged = list[Tensor]
"""A discriminator's features of each layer; the last is its verdict, positive for real."""


class Discriminator(nn.Module):
    """Judges a picture patch by patch.

    Args:
        widths: Channels of its layers, each of which halves the picture.

    Source: Isola et al., "Image-to-image translation with conditional adversarial networks", 2017 (PatchGAN), with
    spectral norm as in face-vid2vid.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(narrow, wide, 4, 2, 1)) for narrow, wide in itertools.pairwise((3, *widths))
        )
        self.verdict = spectral_norm(nn.Conv2d(widths[-1], 1, 3, 1, 1))

    def forward(self, picture: Tensor) -> Judged:
        """Judge pictures (B, 3, H, W) in [0, 1]."""
        h, found = 2 * picture - 1, []
        for layer in self.layers:
            h = F.leaky_relu(layer(h), 0.2)
            found.append(h)
        return [*found, self.verdict(h)]


def discriminator_hinge(real: Tensor, fake: Tensor) -> Tensor:
    """L_D = mean max(0, 1 − D(real)) + mean max(0, 1 + D(fake)).

    Source: Lim and Ye, "Geometric GAN", 2017, Eq. 21; used by face-vid2vid.
    """
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def generator_hinge(fake: Tensor) -> Tensor:
    """L_G = −mean D(fake)."""
    return -fake.mean()


def feature_matching(shown: Judged, real: Judged) -> Tensor:
    """Sum over layers of the mean |difference| of a discriminator's features, without its verdict.

    Source: Wang et al., "pix2pixHD", 2018, Eq. 4.
    """
    pairs = zip(shown[:-1], real[:-1], strict=True)
    return torch.stack([(a - b.detach()).abs().mean() for a, b in pairs]).sum()
