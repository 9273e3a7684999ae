"""How well predicted lips follow real ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

FURTHEST_LAG = 5


@dataclass(frozen=True)
class LipScore:
    """One clip.

    Attributes:
        correlation: Pearson correlation of the lip opening at lag 0.
        lag: Frames by which the real lips come later than the predicted ones, where the correlation is best.
        best: Correlation at that lag.
        amplitude: Predicted over real deviation of the opening.
        width: Pearson correlation of the mouth's width.
    """

    correlation: float
    lag: int
    best: float
    amplitude: float
    width: float


def pearson(first: Tensor, second: Tensor) -> float:
    """Correlate two curves (T,); zero where one does not move."""
    a, b = first - first.mean(), second - second.mean()
    return float((a @ b) / (a.norm() * b.norm()).clamp_min(1e-9))


def score_lips(opening: Tensor, real_opening: Tensor, width: Tensor, real_width: Tensor) -> LipScore:
    """Compare one clip's curves, each (T,)."""
    lags = {lag: pearson(*_shifted(opening, real_opening, lag)) for lag in range(-FURTHEST_LAG, FURTHEST_LAG + 1)}
    lag = max(lags, key=lambda key: lags[key])
    amplitude = float(opening.std() / real_opening.std().clamp_min(1e-9))
    return LipScore(lags[0], lag, lags[lag], amplitude, pearson(width, real_width))


def _shifted(first: Tensor, second: Tensor, lag: int) -> tuple[Tensor, Tensor]:
    if lag >= 0:
        return first[: len(first) - lag], second[lag:]
    return first[-lag:], second[:lag]


def summarise(scores: list[LipScore]) -> LipScore:
    """Take the median over clips of every figure."""
    table = torch.tensor([[s.correlation, s.lag, s.best, s.amplitude, s.width] for s in scores], dtype=torch.float32)
    correlation, lag, best, amplitude, width = table.quantile(0.5, dim=0).tolist()
    return LipScore(correlation, round(lag), best, amplitude, width)
