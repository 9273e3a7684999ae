"""The colour of a painted mouth's inside, by the skin around it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

USUAL_SKIN = (0.60, 0.43, 0.35)  # mean skin colour around the mouth in the training footage


def usual_light() -> Tensor:
    """Return a `light` that takes half of the skin's tint and nothing of its brightness."""
    with torch.device("cpu"):
        return torch.cat([0.5 * (torch.eye(3) - 1 / 3), torch.zeros(3, 1)], 1)


GREY, COLOURED = 0.03, 0.12
"""Saturation of skin up to which a picture has no colours, and from which on it has all."""


def tint(warped: Tensor, masks: Tensor, light: Tensor) -> Tensor:
    """Estimate how the skin around a mouth and its light colour the inside: factors, shape (T, 3, 1, 1)."""
    return (F.pad(skin_ratio(warped, masks).log(), (0, 1), value=1.0) @ light.T).exp()[..., None, None]


def colourfulness(skin: Tensor) -> Tensor:
    """Tell grey pictures (0) from those with colours (1) by `skin_ratio`, (T, 3) to (T, 1)."""
    return ((saturation(skin) - GREY) / (COLOURED - GREY)).clamp(0, 1)


def saturation(skin: Tensor) -> Tensor:
    """Return the saturation of skin colours from `skin_ratio`, 0 to 1, shape (T, 1)."""
    color = skin * skin.new_tensor(USUAL_SKIN)
    return 1 - color.amin(1, keepdim=True) / color.amax(1, keepdim=True)


def skin_ratio(warped: Tensor, masks: Tensor) -> Tensor:
    """Return the mean colour of the skin around a mouth over the usual one, shape (T, 3)."""
    skin = masks[:, 2:3] * (1 - masks[:, 1:2])
    color = (warped * skin).sum((2, 3)) / skin.sum((2, 3)).clamp_min(1.0)
    return color.clamp_min(0.02) / color.new_tensor(USUAL_SKIN)
