"""Measure loudness, and scale voices to a common level."""

from __future__ import annotations

import torch
from torch import Tensor

from audio2motion.config import FEATURE_SAMPLES

FLOOR_DB = -80.0
TARGET_DB = -20.0  # common level of voices: RMS of their loud moments, relative to full scale
QUIETEST_DB = -48.0  # quieter sound is not a voice and is not amplified further
RELEASE_DB_PER_SECOND = 1.5  # decay of the tracked level


def loudness_db(waveform: Tensor) -> Tensor:
    """Measure RMS levels.

    Args:
        waveform: Shape (..., N), N a multiple of 320.

    Returns:
        Decibels relative to full scale per 320 samples, shape (..., N / 320), at least -80.
    """
    power = waveform.unfold(-1, FEATURE_SAMPLES, FEATURE_SAMPLES).square().mean(-1)
    return 10 * torch.log10(power + 10 ** (FLOOR_DB / 10))


def voice_level(waveform: Tensor) -> Tensor:
    """Return the 95th percentile of the level of a recording (..., N) in decibels, shape (...)."""
    return loudness_db(waveform).quantile(0.95, dim=-1)


def gain(level: Tensor | float) -> Tensor:
    """Return the factor that scales a voice of this level in decibels to the common level."""
    return 10 ** ((TARGET_DB - torch.as_tensor(level, dtype=torch.float32).clamp(min=QUIETEST_DB)) / 20)
