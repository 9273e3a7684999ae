"""Speech encoder of the motion generator: a window of audio → features at 25 frames per second."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn import functional as F

from audio2motion.config import FEATURE_SAMPLES
from audio2motion.joyvasa.config import HubertSizes
from liveportrait.imports import quiet_imports

if TYPE_CHECKING:
    from transformers import HubertModel

_FIELD = 400  # receptive field of one encoder state in samples
_STRIDES = (5, 2, 2, 2, 2, 2, 2)


def build_hubert(sizes: HubertSizes) -> HubertModel:
    """Build the speech encoder with random weights."""
    with quiet_imports():
        from transformers import HubertConfig, HubertModel

    return HubertModel(
        HubertConfig(
            conv_dim=sizes.conv_dim,
            conv_kernel=sizes.conv_kernel,
            conv_stride=_STRIDES,
            hidden_size=sizes.hidden_size,
            num_hidden_layers=sizes.num_layers,
            num_attention_heads=sizes.hidden_size // 64,
            intermediate_size=sizes.feed_forward_size,
            num_conv_pos_embeddings=sizes.position_kernel,
            num_conv_pos_embedding_groups=sizes.position_groups,
            # Inference masks nothing, so the learned mask embedding is not needed.
            mask_time_prob=0.0,
            mask_feature_prob=0.0,
        )
    )


def pad_window(window: Tensor) -> Tensor:
    """Pad a window so that the encoder returns one state per 320 samples.

    Args:
        window: 16 kHz mono, shape (B, N).

    Returns:
        The window with reflected ends (padded twice, as in the published code), shape (B, N'); 64000 → 64080.
    """
    samples = window.shape[1]
    missing = math.ceil((samples // FEATURE_SAMPLES * FEATURE_SAMPLES + _FIELD - FEATURE_SAMPLES - samples) / 2)
    if missing < 0:
        return window
    once = (missing // 2, missing // 2)
    padded = F.pad(F.pad(window[:, None], once, mode="reflect"), once, mode="reflect")
    if missing % 2:
        padded = F.pad(padded, (1, 1), mode="replicate")
    return padded[:, 0]


def encode_speech(hubert: HubertModel, window: Tensor, num_frames: int) -> Tensor:
    """Encode windows of audio.

    Args:
        hubert: The speech encoder.
        window: 16 kHz mono, shape (B, N).
        num_frames: T, the number of motion frames in the window.

    Returns:
        States at the motion's frame rate, shape (B, T, hidden_size).

    Source: upstream `src/modules/hubert.py`.
    """
    sound = hubert.feature_extractor(pad_window(window))
    sound = _resample(sound, 2 * num_frames)
    states = hubert.encoder(hubert.feature_projection(sound.transpose(1, 2))).last_hidden_state
    return _resample(states.transpose(1, 2), num_frames).transpose(1, 2)


def _resample(features: Tensor, length: int) -> Tensor:
    """Resample features (B, C, L) linearly to another length."""
    if features.shape[-1] == length:
        return features
    return F.interpolate(features, size=length, mode="linear", align_corners=False)
