"""Smooth motion over time: bidirectionally for complete sequences, causally for streams."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from liveportrait.keypoints import handedness
from liveportrait.motion import Motion

PROCESS_VARIANCE = 1e-5


def smooth(sequence: Tensor, observation_variance: float, process_variance: float = PROCESS_VARIANCE) -> Tensor:
    """Smooth each component of a sequence independently with a Kalman smoother.

    The model is a random walk with noisy observations; the prior is the first observation with variance one. All
    components share their variances, so the gains are scalars.

    Args:
        sequence: T observations, shape (T, ...).
        observation_variance: Variance of the noise; larger values smooth more.
        process_variance: Variance of a step of the random walk.

    Returns:
        The smoothed sequence, same shape and dtype; a single frame is returned unchanged.

    Source: Rauch, Tung and Striebel 1965; upstream `src/utils/filter.py`, smooth.
    """
    if len(sequence) < 2:
        return sequence
    values = sequence.double()
    mean, variance = values[0], 1.0
    means, variances, predicted = [], [], []
    for frame, value in enumerate(values):
        prior = variance + (process_variance if frame else 0.0)
        gain = prior / (prior + observation_variance)
        mean, variance = mean + gain * (value - mean), (1 - gain) * prior
        means.append(mean)
        variances.append(variance)
        predicted.append(prior)
    smoothed = [means[-1]]
    for frame in range(len(means) - 2, -1, -1):
        gain = variances[frame] / predicted[frame + 1]
        smoothed.append(means[frame] + gain * (smoothed[-1] - means[frame]))
    return torch.stack(smoothed[::-1]).to(sequence.dtype)


class OneEuro:
    """Causal 1 € filter: smooths slow changes strongly and fast ones little, which limits latency.

    Source: Casiez, Roussel and Vogel, "1 € filter", 2012.
    """

    def __init__(self, cutoff: float, speed: float, fps: float, derivative_cutoff: float = 3.0) -> None:
        """Initialise an empty filter.

        Args:
            cutoff: Cutoff frequency in Hz for constant values.
            speed: Increase of the cutoff in Hz per unit of change per second.
            fps: Frames per second.
            derivative_cutoff: Cutoff frequency in Hz of the estimated derivative.
        """
        self._cutoff, self._speed, self._fps = cutoff, speed, fps
        self._derivative_share = _share(torch.tensor(derivative_cutoff, dtype=torch.float32), fps)
        self._last: Tensor | None = None
        self._derivative: Tensor | None = None

    def __call__(self, values: Tensor) -> Tensor:
        """Smooth the next T frames, shape (T, ...); T may vary between calls."""
        return torch.stack([self._step(value) for value in values])

    def _step(self, value: Tensor) -> Tensor:
        if self._last is None or self._derivative is None:
            self._last, self._derivative = value, torch.zeros_like(value)
            return value
        change = (value - self._last) * self._fps
        self._derivative = self._derivative + self._derivative_share.to(value) * (change - self._derivative)
        share = _share(self._cutoff + self._speed * self._derivative.abs(), self._fps)
        self._last = self._last + share * (value - self._last)
        return self._last


def _share(cutoff: Tensor, fps: float) -> Tensor:
    """Return the smoothing factor of an exponential filter with this cutoff."""
    step = 2 * torch.pi * cutoff / fps
    return step / (step + 1)


class MotionSmoother:
    """Causal smoothing of motion in the head frame, so that the expression does not lag behind a rotating head."""

    def __init__(self, amount: float, fps: float) -> None:
        """Initialise an empty smoother.

        Args:
            amount: Strength from 0 (off) to 1.
            fps: Frames per second.
        """
        cutoff = fps / 2 * (1 / fps) ** amount  # from half the frame rate to 0.5 Hz
        self._amount = amount
        self._filters = [OneEuro(cutoff, 12.0, fps) for _ in range(5)]

    def __call__(self, motion: Motion) -> Motion:
        """Smooth the next T frames; T may vary between calls. Openness ratios are unchanged."""
        if not self._amount:
            return motion
        turn, face, size, place, between = self._filters
        rotation = _nearest_rotation(turn(motion.rotation))
        expression = face(motion.expression @ motion.rotation.transpose(1, 2)) @ rotation
        return replace(
            motion,
            rotation=rotation,
            expression=expression,
            scale=size(motion.scale),
            translation=place(motion.translation),
            dense_residual=motion.dense_residual if motion.dense_residual is None else between(motion.dense_residual),
        )


def _nearest_rotation(matrices: Tensor) -> Tensor:
    """Return the closest rotations to (T, 3, 3) matrices."""
    u, _, vt = torch.linalg.svd(matrices)
    sign = torch.ones_like(matrices[:, 0])
    sign[:, 2] = handedness(u @ vt)
    return (u * sign[:, None]) @ vt
