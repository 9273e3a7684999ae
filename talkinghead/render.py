"""A portrait and what drives it → pictures, batch by batch. Here tensors become pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import torch
from torch import Tensor

from liveportrait import LivePortrait, Portrait
from talkinghead.driving import Frames
from talkinghead.media.image import Picture

Pose: TypeAlias = Callable[[Portrait, Frames], Tensor]
"""Turns a part of what drives a portrait into its keypoints x_d, shape (T, K, 3)."""


def render(model: LivePortrait, portrait: Portrait, driving: Iterable[Frames], pose: Pose[Frames]) -> Iterator[Picture]:
    """Render what drives a portrait.

    Args:
        model: What encoded the portrait.
        portrait: One portrait.
        driving: The parts; each is rendered at once.
        pose: What a part means for the portrait.

    Yields:
        RGB crops, shape (crop_size, crop_size, 3), uint8, one per frame.
    """
    for part in driving:
        with torch.inference_mode():
            x_d = pose(portrait, part.to(portrait.x_s.device))
            crops = to_pictures(model.render(portrait, x_d))
        yield from crops


def to_pictures(images: Tensor) -> Picture:
    """Turn (T, 3, H, W) in [0, 1] into (T, H, W, 3), uint8."""
    return images.mul(255).round_().clamp_(0, 255).byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()
