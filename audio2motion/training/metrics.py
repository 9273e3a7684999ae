"""Metrics that compare predicted with real lip motion."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

FURTHEST_LAG = 5


@dataclass(frozen=True)
class LipScore:
    """Metrics of one clip.

    Attributes:
        correlation: Pearson correlation of the lip opening at lag 0.
        lag: Delay of the real lips relative to the predicted ones, in frames, with the highest correlation.
        best: Correlation at that lag.
        amplitude: Ratio of the predicted to the real standard deviation of the opening.
        width: Pearson correlation of the mouth's width.
    """

    correlation: float
    lag: int
    best: float
    amplitude: float
    width: float


def pearson(first: Tensor, second: Tensor) -> float:
    """Return the Pearson correlation of two curves (T,); zero if one is constant."""
    a, b = first - first.mean(), second - second.mean()
    return float((a @ b) / (a.norm() * b.norm()).clamp_min(1e-9))


def score_lips(opening: Tensor, real_opening: Tensor, width: Tensor, real_width: Tensor) -> LipScore:
    """Compare one clip's curves, each (T,)."""
    lags = lag_correlations(opening, real_opening, FURTHEST_LAG)
    lag = max(lags, key=lambda key: lags[key])
    amplitude = float(opening.std() / real_opening.std().clamp_min(1e-9))
    return LipScore(lags[0], lag, lags[lag], amplitude, pearson(width, real_width))


def lag_correlations(first: Tensor, second: Tensor, furthest: int) -> dict[int, float]:
    """Return the Pearson correlation of two curves (T,) for each lag; a positive lag means that `second` is later."""
    return {lag: pearson(*_shifted(first, second, lag)) for lag in range(-furthest, furthest + 1)}


def _shifted(first: Tensor, second: Tensor, lag: int) -> tuple[Tensor, Tensor]:
    if lag >= 0:
        return first[: len(first) - lag], second[lag:]
    return first[-lag:], second[:lag]


def summarise(scores: list[LipScore]) -> LipScore:
    """Return the median of each metric over clips."""
    table = torch.tensor([[s.correlation, s.lag, s.best, s.amplitude, s.width] for s in scores], dtype=torch.float32)
    correlation, lag, best, amplitude, width = table.quantile(0.5, dim=0).tolist()
    return LipScore(correlation, round(lag), best, amplitude, width)
