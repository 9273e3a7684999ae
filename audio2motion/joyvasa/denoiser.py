"""Denoiser: estimate clean motion from noisy motion, audio and the preceding motion."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audio2motion.joyvasa.config import MAX_FRAMES, MAX_STEPS, NUM_HEADS, JoyVASAConfig


def sinusoids(num_rows: int, size: int) -> Tensor:
    """Build a table of sinusoidal position encodings: sines in even columns, cosines in odd ones.

    Returns:
        Table of shape (num_rows, size); column pair i advances by 10000^(-2i / size) radians per row.
    """
    position = torch.arange(num_rows, dtype=torch.float32, device="cpu")[:, None]
    rate = torch.exp(torch.arange(0, size, 2, dtype=torch.float32, device="cpu") * (-math.log(10000.0) / size))
    return torch.stack([torch.sin(position * rate), torch.cos(position * rate)], -1).flatten(1)


class DecoderLayer(nn.Module):
    """Post-norm decoder layer in which frame k attends only to frame k of the audio.

    Attention over a single frame returns its value for any query, so only the value and output projections of the
    cross-attention are used. `multihead_attn` holds the others to match the checkpoint.
    """

    def __init__(self, size: int, feed_forward_size: int) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(size, NUM_HEADS, batch_first=True)
        self.multihead_attn = nn.MultiheadAttention(size, NUM_HEADS, batch_first=True)
        self.linear1 = nn.Linear(size, feed_forward_size)
        self.linear2 = nn.Linear(feed_forward_size, size)
        self.norm1 = nn.LayerNorm(size)
        self.norm2 = nn.LayerNorm(size)
        self.norm3 = nn.LayerNorm(size)

    def forward(self, x: Tensor, audio: Tensor) -> Tensor:
        """Refine frames x with audio features, both (B, T, size)."""
        x = self.norm1(x + self.self_attn(x, x, x, need_weights=False)[0])
        x = self.norm2(x + self._cross_attention(audio))
        return self.norm3(x + self.linear2(F.gelu(self.linear1(x))))

    def _cross_attention(self, audio: Tensor) -> Tensor:
        attention, size = self.multihead_attn, audio.shape[-1]
        value = F.linear(audio, attention.in_proj_weight[2 * size :], attention.in_proj_bias[2 * size :])
        return attention.out_proj(value)


class Decoder(nn.Module):
    """A stack of decoder layers without a final norm."""

    def __init__(self, size: int, feed_forward_size: int, num_layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(size, feed_forward_size) for _ in range(num_layers))

    def forward(self, x: Tensor, audio: Tensor) -> Tensor:
        """Refine frames x with audio features, both (B, T, size)."""
        for layer in self.layers:
            x = layer(x, audio)
        return x


class Denoiser(nn.Module):
    """Transformer that predicts the clean sample at any diffusion step. Attribute names match the checkpoint.

    Source: JoyVASA §3.2; upstream `src/modules/dit_talking_head.py`, DenoisingNetwork.
    """

    step_table: Tensor
    position_table: Tensor

    def __init__(self, config: JoyVASAConfig) -> None:
        super().__init__()
        size = config.feature_size
        self.num_frames, self.constant_position = config.num_frames, config.constant_position
        self.diff_step_map = nn.Sequential(nn.Linear(size, size), nn.GELU(), nn.Linear(size, size))
        self.feature_proj = nn.Linear(config.motion_size, size)
        self.transformer = Decoder(size, config.feed_forward_size, config.num_layers)
        self.motion_dec = nn.Sequential(nn.Linear(size, size // 2), nn.GELU(), nn.Linear(size // 2, config.motion_size))
        self.register_buffer("step_table", sinusoids(MAX_STEPS + 1, size), persistent=False)
        self.register_buffer("position_table", sinusoids(MAX_FRAMES, size), persistent=False)

    def forward(
        self,
        motion: Tensor,
        audio: Tensor,
        previous_motion: Tensor,
        previous_audio: Tensor,
        step: Tensor,
        constant_position: bool | None = None,
    ) -> Tensor:
        """Estimate clean motion.

        Args:
            motion: Noisy normalised motion, shape (B, T, D).
            audio: Features of the same frames, shape (B, T, feature_size).
            previous_motion: Clean motion before it, shape (B, P, D).
            previous_audio: Audio features before it, shape (B, P, feature_size).
            step: Diffusion steps, int64, shape (B,).
            constant_position: Whether all frames get one position encoding; None for what the weights
                were trained with.

        Returns:
            Clean motion of all frames, shape (B, P + T, D); the last T are the window.
        """
        x = self.feature_proj(torch.cat([previous_motion, motion], 1))
        # Until December 2025 upstream added row P + T to all frames, in training too, so these weights know no order.
        constant = self.constant_position if constant_position is None else constant_position
        end = x.shape[1]
        position = self.position_table[end : end + 1] if constant else self.position_table[:end]
        x = x + position + self.diff_step_map(self.step_table[step])[:, None]
        features = torch.cat([previous_audio, audio], 1)
        return self.motion_dec(self.transformer(x, features))
