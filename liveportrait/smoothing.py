"""Kalman smoothing of motion over time."""

from __future__ import annotations

import torch
from torch import Tensor

PROCESS_VARIANCE = 1e-5


def smooth(sequence: Tensor, observation_variance: float, process_variance: float = PROCESS_VARIANCE) -> Tensor:
    """Smooth every component of a sequence on its own, looking both ways in time.

    The model is a random walk seen through noise; the prior is the first observation with variance one. All
    components share their variances, so the gains are plain numbers.

    Args:
        sequence: T observations, shape (T, ...).
        observation_variance: Variance of the noise; the larger, the smoother.
        process_variance: Variance of a step of the walk.

    Returns:
        The smoothed sequence, same shape and type; a single frame is returned as it is.

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
