"""Rendered crops as pictures of eight bits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Picture = NDArray[np.uint8]
"""RGB; one picture has shape (H, W, 3), several have (T, H, W, 3)."""

LEVELS = 255.0


def to_pictures(images: Tensor) -> Picture:
    """Turn (T, 3, H, W) in [0, 1] into (T, H, W, 3), uint8."""
    return images.mul(LEVELS).round_().clamp_(0, LEVELS).byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()


def joined(parts: Sequence[Picture]) -> Picture:
    """Join batches of pictures."""
    return np.concatenate(parts)
