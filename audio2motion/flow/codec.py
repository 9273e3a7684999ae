"""Convert motion to normalised values and back."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from liveportrait.keypoints import euler_degrees, rotation_matrix
from liveportrait.motion import Motion

_LEAST_SPREAD = 1e-4  # lower bound for values that hardly change, such as the z translation


def to_numbers(motion: Motion) -> Tensor:
    """Flatten motion to (T, 3 K + 7): expression, scale, translation, and pitch, yaw and roll in degrees."""
    angles = torch.stack(euler_degrees(motion.rotation), 1)
    return torch.cat([motion.expression.flatten(1), motion.scale, motion.translation, angles], 1)


def to_motion(numbers: Tensor) -> Motion:
    """Invert `to_numbers`."""
    expression, scale, translation, angles = numbers.split([numbers.shape[1] - 7, 1, 3, 3], 1)
    rotation = rotation_matrix(*angles.unbind(1))
    return Motion(rotation, expression.reshape(len(numbers), -1, 3), scale, translation)


class MotionCodec(nn.Module):
    """Normalises values to mean zero and standard deviation one.

    Attributes:
        mean: Mean of the training motion, shape (D,).
        spread: Its standard deviation, shape (D,).
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, num_numbers: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_numbers))
        self.register_buffer("spread", torch.ones(num_numbers))

    def fit(self, numbers: Tensor) -> None:
        """Compute the statistics of training motion, (frames, D)."""
        self.mean.copy_(numbers.mean(0))
        self.spread.copy_(numbers.std(0).clamp_min(_LEAST_SPREAD))

    def encode(self, numbers: Tensor) -> Tensor:
        """Normalise values (..., D)."""
        return (numbers - self.mean) / self.spread

    def decode(self, normal: Tensor) -> Tensor:
        """Invert `encode`."""
        return normal * self.spread + self.mean
