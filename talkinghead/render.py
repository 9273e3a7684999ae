"""A portrait and what it performs → pictures, batch by batch. Here tensors become pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from liveportrait import LivePortrait, Performance, Portrait
from talkinghead.media.image import Picture


def render(model: LivePortrait, portrait: Portrait, performance: Iterable[Performance]) -> Iterator[Picture]:
    """Render a performance.

    Args:
        model: What encoded the portrait.
        portrait: One portrait.
        performance: Its parts; each is rendered at once.

    Yields:
        RGB crops, shape (crop_size, crop_size, 3), uint8, one per frame.
    """
    for part in performance:
        with torch.inference_mode():
            x_d = model.perform(portrait, part.to(portrait.x_s.device))
            crops = to_pictures(model.render(portrait, x_d))
        yield from crops


def to_pictures(images: Tensor) -> Picture:
    """Turn (T, 3, H, W) in [0, 1] into (T, H, W, 3), uint8."""
    return images.mul(255).round_().clamp_(0, 255).byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()
