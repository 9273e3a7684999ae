"""Noise schedule and samplers: full stochastic sampling, and fast deterministic sampling in a few steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

# Noisy motion (1, T, D) and its diffusion step → estimate of the clean motion, same shape.
Predictor = Callable[[Tensor, int], Tensor]
# Shape → standard normal noise.
Noise = Callable[[tuple[int, ...]], Tensor]
_OFFSET = 0.008
_LEAST_BETA, _MOST_BETA = 0.0001, 0.999


@dataclass(frozen=True)
class Schedule:
    """Noise per diffusion step; index 0 is clean motion, every tensor has shape (steps + 1,).

    Attributes:
        betas: β, variance of the noise added by a step.
        alphas: 1 - β.
        alpha_bars: Cumulative product of the alphas.
        sigmas_flex: Standard deviation of the noise in a full sampling step at flexibility 1.
        sigmas_inflex: The same at flexibility 0.
    """

    betas: Tensor
    alphas: Tensor
    alpha_bars: Tensor
    sigmas_flex: Tensor
    sigmas_inflex: Tensor

    def __len__(self) -> int:
        return len(self.betas) - 1


def cosine_schedule(num_steps: int) -> Schedule:
    """Build the cosine schedule.

    Source: Nichol and Dhariwal 2021, Eq. 17.
    """
    x = torch.linspace(0, num_steps, num_steps + 1, device="cpu", dtype=torch.float32)
    left = torch.cos((x / num_steps + _OFFSET) / (1 + _OFFSET) * math.pi / 2) ** 2
    left = left / left[0]
    betas = torch.cat([x.new_zeros(1), (1 - left[1:] / left[:-1]).clamp(_LEAST_BETA, _MOST_BETA)])
    alphas = 1 - betas
    alpha_bars = alphas.log().cumsum(0).exp()
    before = torch.cat([alpha_bars[:1], alpha_bars[:-1]])
    # Define 0 / 0 at index 0 (clean motion) as 0.
    inflex = ((1 - before) / (1 - alpha_bars).clamp(min=1e-12) * betas).sqrt()
    return Schedule(betas, alphas, alpha_bars, betas.sqrt(), inflex)


def full_steps(
    predict: Predictor, schedule: Schedule, x: Tensor, noise: Noise, flexibility: float = 0.0
) -> Iterator[Tensor]:
    """Sample with every step of the schedule.

    Args:
        predict: Estimates the clean motion.
        schedule: The schedule that the network was trained with.
        x: Initial noise, shape (1, T, D).
        noise: Noise source, called once per step except the last.
        flexibility: 0 for the posterior's standard deviation, 1 for that of the forward process.

    Yields:
        The state after each step, noisiest first; the last one is the sample.

    Source: Ho et al. 2020, Eq. 7, with the network predicting the clean sample.
    """
    for step in range(len(schedule), 0, -1):
        alpha, bar, before = schedule.alphas[step], schedule.alpha_bars[step], schedule.alpha_bars[step - 1]
        keep = float((1 - before) * alpha.sqrt() / (1 - bar))
        take = float((1 - alpha) * before.sqrt() / (1 - bar))
        x = keep * x + take * predict(x, step)
        if step > 1:
            sigma = flexibility * schedule.sigmas_flex[step] + (1 - flexibility) * schedule.sigmas_inflex[step]
            x = x + float(sigma) * noise(tuple(x.shape)).to(x)
        yield x


def fast_steps(predict: Predictor, schedule: Schedule, x: Tensor, num_steps: int) -> Iterator[Tensor]:
    """Sample deterministically in a few steps with second-order multistep DPM-Solver++.

    Args:
        predict: Estimates the clean motion.
        schedule: The schedule that the network was trained with.
        x: Initial noise, shape (1, T, D).
        num_steps: Evaluations of the network.

    Yields:
        The state after each step; the last one is the sample.

    Raises:
        ValueError: `num_steps` exceeds the schedule.

    Source: Lu et al. 2022, DPM-Solver++, algorithm 2; the first and the last step are first-order (DDIM).
    """
    if not 1 <= num_steps <= len(schedule):
        raise ValueError(f"the fast sampler takes 1 to {len(schedule)} steps, not {num_steps}")
    steps = [*_spaced(len(schedule), num_steps), 0]
    bars = schedule.alpha_bars.double()
    scale, spread = bars.sqrt(), (1 - bars).sqrt()
    log_ratio = (scale / spread.clamp(min=1e-12)).log()
    earlier: tuple[Tensor, float] | None = None
    for now, then in pairwise(steps):
        clean = predict(x, now)
        if then == 0:
            yield clean
            return
        stride = float(log_ratio[then] - log_ratio[now])
        target = clean
        if earlier is not None:
            target = clean + (clean - earlier[0]) * (stride / (2 * earlier[1]))
        ratio = float(spread[then] / spread[now])
        x = ratio * x - float(scale[then]) * math.expm1(-stride) * target
        earlier = (clean, stride)
        yield x


def _spaced(last: int, count: int) -> list[int]:
    """Choose steps from the last one down to 1, denser at low noise.

    Evenly spaced steps would end well above step 1 and miss its corrections.
    """
    if count == 1:
        return [last]
    curve = [1 + (last - 1) * (1 - i / (count - 1)) ** 1.5 for i in range(count)]
    return [max(count - i, round(step)) for i, step in enumerate(curve)]


def clamp_to_quantile(clean: Tensor, quantile: float, least: float, most: float) -> Tensor:
    """Clamp each sample (B, T, D) to a quantile of its magnitudes, which is itself limited to [least, most].

    Source: Saharia et al. 2022, dynamic thresholding.
    """
    bound = clean.abs().flatten(1).quantile(quantile, dim=1).clamp(least, most)[:, None, None]
    return clean.clamp(-bound, bound)
