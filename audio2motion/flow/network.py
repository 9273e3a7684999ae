"""The network: estimate clean motion from noisy motion, preceding motion, voice features and time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audio2motion.flow.config import FlowConfig
from audio2motion.joyvasa.denoiser import sinusoids

_TIME_ROWS = 1000


class FlowBlock(nn.Module):
    """Transformer block with adaptive layer norm, conditioned per frame on voice and time."""

    def __init__(self, size: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(size, elementwise_affine=False) for _ in range(2))
        self.attention = nn.MultiheadAttention(size, num_heads, dropout, batch_first=True)
        self.feed = nn.Sequential(nn.Linear(size, 4 * size), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * size, size))
        self.moves = nn.Linear(size, 6 * size)
        nn.init.zeros_(self.moves.weight)
        nn.init.zeros_(self.moves.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Process frames x with a condition, both (B, T, size)."""
        shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = self.moves(nn.functional.silu(condition)).chunk(6, -1)
        y = self.norms[0](x) * (1 + scale_a) + shift_a
        x = x + gate_a * self.attention(y, y, y, need_weights=False)[0]
        y = self.norms[1](x) * (1 + scale_f) + shift_f
        return x + gate_f * self.feed(y)


class FlowNetwork(nn.Module):
    """Estimate clean motion.

    Attributes:
        start: Learned motion before the first window, (1, P, D).
        unheard: Learned voice features for the unconditional estimate, (1, 1, size).
    """

    places: Tensor
    times: Tensor

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        size, frames = config.size, config.num_previous + config.num_frames
        self.num_previous = config.num_previous
        self.read = nn.Linear(config.num_numbers, size)
        self.roles = nn.Parameter(0.02 * torch.randn(2, size))
        self.time = nn.Sequential(nn.Linear(size, size), nn.SiLU(), nn.Linear(size, size))
        self.blocks = nn.ModuleList(FlowBlock(size, config.num_heads, config.dropout) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(size)
        self.write = nn.Linear(size, config.num_numbers)
        self.start = nn.Parameter(torch.zeros(1, config.num_previous, config.num_numbers))
        self.unheard = nn.Parameter(0.02 * torch.randn(1, 1, size))
        self.register_buffer("places", sinusoids(frames, size), persistent=False)
        self.register_buffer("times", sinusoids(_TIME_ROWS + 1, size), persistent=False)

    def forward(self, x: Tensor, time: Tensor, voice: Tensor, previous: Tensor) -> Tensor:
        """Estimate the clean motion.

        Args:
            x: Noisy motion, shape (B, T, D).
            time: From 0 (noise) to 1 (clean motion), shape (B,).
            voice: Features of the frames before and in the window, shape (B, P + T, size).
            previous: Clean motion before the window, shape (B, P, D).

        Returns:
            Clean motion, shape (B, T, D).
        """
        role = torch.repeat_interleave(self.roles, torch.tensor([previous.shape[1], x.shape[1]], device=x.device), 0)
        moving = self.read(torch.cat([previous, x], 1)) + self.places + role
        condition = voice + self.time(self.times[(time * _TIME_ROWS).round().long()])[:, None]
        for block in self.blocks:
            moving = block(moving, condition)
        return self.write(self.norm(moving))[:, self.num_previous :]
