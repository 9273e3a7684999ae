"""Smooth motion over time: with a short look-ahead as upstream, or causally."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from liveportrait.keypoints import handedness
from liveportrait.motion import Motion

PROCESS_VARIANCE = 1e-5


_NEGLIGIBLE = 1e-8
"""Weight below which later frames are ignored."""


def smooth(
    frames: Iterable[Tensor], observation_variance: float, process_variance: float = PROCESS_VARIANCE
) -> Iterator[Tensor]:
    """Smooth each component of a sequence independently with a Kalman smoother, with a short look-ahead.

    The model is a random walk with noisy observations; the prior is the first observation with variance one. All
    components share their variances, so the gains are scalars. The weight of later frames falls geometrically: with
    upstream's variance of 3e-7, six frames later it is below 1e-8, so the whole sequence need not be known.

    Args:
        frames: Observations, float32, all of one shape.
        observation_variance: Variance of the noise, above 0; larger values smooth more.
        process_variance: Variance of a step of the random walk.

    Yields:
        The smoothed frames; a single frame is unchanged.

    Source: Rauch, Tung and Striebel 1965; upstream `src/utils/filter.py`, smooth.
    """
    look_ahead = _look_ahead(observation_variance, process_variance)
    window: deque[_Filtered] = deque()
    prior, mean = 1.0, torch.zeros(0, dtype=torch.float64)
    for n, frame in enumerate(frames):
        value = frame.double()
        mean = mean if n else value
        share = prior / (prior + observation_variance)
        mean, variance = mean + share * (value - mean), (1 - share) * prior
        prior = variance + process_variance
        window.append(_Filtered(mean, variance / prior))
        if len(window) > look_ahead:
            yield _first_smoothed(window).float()
            window.popleft()
    while window:
        yield _first_smoothed(window).float()
        window.popleft()


class _Filtered(NamedTuple):
    """A frame filtered from the frames before it, and the weight of the frames after it."""

    mean: Tensor
    gain: float


def _first_smoothed(window: Sequence[_Filtered]) -> Tensor:
    """Smooth the first frame of a window."""
    smoothed = window[-1].mean
    for mean, gain in reversed(list(window)[:-1]):
        smoothed = mean + gain * (smoothed - mean)
    return smoothed


def _look_ahead(observation_variance: float, process_variance: float) -> int:
    """Return how many later frames have a weight that is not negligible."""
    # The filtered variance in the long run solves v² + v·process = process·observation.
    variance = (math.sqrt(process_variance**2 + 4 * process_variance * observation_variance) - process_variance) / 2
    return math.ceil(math.log(_NEGLIGIBLE) / math.log(variance / (variance + process_variance)))


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
