"""Motion decoder: encoder states at 50 per second and loudness → mouth coefficients at 25 per second."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class _Block(nn.Module):
    """Residual convolution over time, (B, T, D) → (B, T, D)."""

    def __init__(self, size: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size)
        self.conv = nn.Conv1d(size, size, 5, padding=2 * dilation, dilation=dilation)
        self.out = nn.Linear(size, size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(self.norm(x).transpose(1, 2)).transpose(1, 2)
        return x + self.out(self.dropout(nn.functional.gelu(y)))


class MotionDecoder(nn.Module):
    """Temporal convolutional network that predicts mouth coefficients from speech states.

    Args:
        state_size: Width of the encoder's states.
        size: Width of the decoder.
        dilations: Dilation of each block.
        num_outputs: Coefficients per frame.
        state_dropout: Dropout of the states while training.
        dropout: Dropout in the blocks while training.
    """

    def __init__(
        self,
        state_size: int,
        size: int,
        dilations: tuple[int, ...],
        num_outputs: int,
        state_dropout: float = 0.1,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        # Kernel 4, stride 2: frame f covers states 2 f - 1 … 2 f + 2, centred on its own two.
        self.to_frames = nn.Conv1d(state_size, size, 4, stride=2, padding=1)
        self.dropout = nn.Dropout(state_dropout)
        self.loudness = nn.Linear(4, size)
        self.blocks = nn.Sequential(*(_Block(size, dilation, dropout) for dilation in dilations))
        self.norm = nn.LayerNorm(size)
        self.out = nn.Linear(size, num_outputs)

    def forward(self, states: Tensor, loudness: Tensor) -> Tensor:
        """Predict coefficients.

        Args:
            states: Shape (B, 2 T, state_size).
            loudness: Decibels relative to full scale, shape (B, 2 T).

        Returns:
            Coefficients, shape (B, T, num_outputs).
        """
        x = self.to_frames(self.dropout(states).transpose(1, 2)).transpose(1, 2)
        level = ((loudness + 40) / 20).unflatten(1, (-1, 2))
        level = torch.cat([level, level.square()], -1)
        return self.out(self.norm(self.blocks(x + self.loudness(level))))
