"""Losses on the visible mouth: lip and jaw points, lip gaps, mouth width, and their speed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from audio2motion.network import MIDDLE, SpeechToMouth


@dataclass(frozen=True)
class LossWeights:
    """Weights of the loss terms."""

    points: float = 1.0
    lips: float = 1.0
    speed: float = 0.5
    agreement: float = 1.0
    phonemes: float = 0.5


def mouth_loss(
    predicted: Tensor, real: Tensor, known: Tensor, shapes: Tensor, network: SpeechToMouth, weights: LossWeights
) -> Tensor:
    """Compare predicted with real mouth motion.

    Args:
        predicted: Coefficients, shape (B, T, C).
        real: Coefficients of the real face, same shape.
        known: Mask of valid frames, shape (B, T).
        shapes: Square root of the coefficients' weights as displacement, shape (C, C): error @ shapes has the
            size of the displacement of all lip and jaw points.
        network: Provides the lip readout.
        weights: Weights of the loss terms.
    """
    count = known.float()
    error = predicted - real
    points = _mean((error @ shapes).square().sum(-1).add(1e-4).sqrt(), count)
    scale = network.readout.norm(dim=0) * 0.5
    measures = (error @ network.readout) / scale
    lips = _mean(F.smooth_l1_loss(measures, torch.zeros_like(measures), beta=0.5, reduction="none").mean(-1), count)
    pairs = count[:, 1:] * count[:, :-1]
    speed = _mean(measures.diff(dim=1).abs().mean(-1), pairs)
    middle = network.readout[:, MIDDLE]
    agreement = 1 - correlation(predicted @ middle, real @ middle, count).mean()
    return weights.points * points + weights.lips * lips + weights.speed * speed + weights.agreement * agreement


def _mean(values: Tensor, count: Tensor) -> Tensor:
    return (values * count).sum() / count.sum().clamp_min(1)


def correlation(first: Tensor, second: Tensor, count: Tensor) -> Tensor:
    """Correlate over time, weighting frames by `count`: (B, T) → (B,); close to zero for flat curves."""
    total = count.sum(1, keepdim=True).clamp_min(1)
    a = (first - (first * count).sum(1, keepdim=True) / total) * count
    b = (second - (second * count).sum(1, keepdim=True) / total) * count
    power = (a.square().sum(1) + 1e-4 * total[:, 0]) * (b.square().sum(1) + 1e-4 * total[:, 0])
    return (a * b).sum(1) / power.sqrt()


def phoneme_loss(scores: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy to a recogniser's phonemes, with a low weight on its many blanks.

    Args:
        scores: Logits, shape (B, N, P), blank first.
        target: Probabilities, same shape; rows of zeros are ignored.
    """
    if scores.shape[-1] == 0:
        return scores.sum()
    weight = target.sum(-1) - 0.85 * target[..., 0]
    entropy = -(target * scores.log_softmax(-1)).sum(-1)
    return (weight * entropy).sum() / weight.sum().clamp_min(1)
