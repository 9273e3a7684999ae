"""An official model with few channels and random weights: the same code at toy size."""

from __future__ import annotations

import torch

from liveportrait.config import (
    AppearanceConfig,
    GeneratorConfig,
    MotionConfig,
    OfficialConfig,
    RetargetingConfig,
    WarpingConfig,
)
from liveportrait.motion import Crop
from liveportrait.official import OfficialPortrait

TINY = OfficialConfig(
    appearance=AppearanceConfig(width=4, volume_channels=2, volume_depth=4, num_residual=1),
    motion=MotionConfig(depths=(1, 1, 1, 1), widths=(8, 8, 16, 16)),
    warping=WarpingConfig(
        volume_channels=2, volume_depth=4, compressed_channels=1, width=4, max_width=16, num_blocks=3, out_channels=8
    ),
    generator=GeneratorConfig(feature_channels=8, width=16, num_middle=1, hidden=4, last_width=4),
    retargeting=RetargetingConfig(stitching=(16,), lip=(16,), eye=(16,)),
)


def tiny_official(needs_landmarks: bool = True, seed: int = 0) -> OfficialPortrait:
    torch.manual_seed(seed)
    return OfficialPortrait(TINY, needs_landmarks).eval().requires_grad_(False)


def picture(frames: int = 1, landmarks: bool = True, seed: int = 0) -> Crop:
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(frames, 478, 3, generator=generator) * 2 - 1 if landmarks else None
    return Crop(torch.rand(frames, 3, 512, 512, generator=generator), points)
