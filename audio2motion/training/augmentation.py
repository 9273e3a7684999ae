"""Change how a voice sounds without changing when the lips move."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from audio2motion.config import FEATURE_SAMPLES, SAMPLE_RATE

BANDS = 12  # points of the equaliser's curve, evenly spaced on the mel scale
UNEVEN_DB = 3.5  # deviation of the equaliser's gain
HOLE_DB = -30.0  # gain of a band that is missing
LONGEST_ECHO = 8000  # samples


def augment(sound: Tensor, generator: torch.Generator) -> Tensor:
    """Augment a recording (N,): equaliser, missing bands, echo, level, noise, short dropouts."""
    sound = filtered(sound, generator) * 10 ** (uniform(generator, -8, 6) / 20)
    if uniform(generator) < 0.5:
        sound = sound + hiss(len(sound), uniform(generator, -75, -35), generator)
    if uniform(generator) < 0.5:
        length = integer(generator, 6 * FEATURE_SAMPLES) + FEATURE_SAMPLES
        start = integer(generator, len(sound) - length)
        sound = sound.clone()
        sound[start : start + length] *= 0.05
    return sound


def filtered(sound: Tensor, generator: torch.Generator) -> Tensor:
    """Play a recording (N,) over a random microphone in a random room, at its own level."""
    length = 1 << (len(sound) + LONGEST_ECHO - 1).bit_length()
    gain_db = equaliser_db(length // 2 + 1, generator)
    spectrum = torch.fft.rfft(sound, length) * 10 ** (gain_db / 20)
    if uniform(generator) < 0.35:
        spectrum = spectrum * torch.fft.rfft(echo(generator), length)
    heard = torch.fft.irfft(spectrum, length)[: len(sound)]
    return heard * (sound.norm() / heard.norm().clamp_min(1e-6))


def equaliser_db(num_bins: int, generator: torch.Generator) -> Tensor:
    """Draw gains of the frequencies up to half the sampling rate, (num_bins,): uneven, tilted, some missing."""
    hz = torch.linspace(0, SAMPLE_RATE / 2, num_bins)
    place = torch.log1p(hz / 700) / torch.log1p(hz[-1] / 700)
    curve = torch.randn(1, 1, BANDS, generator=generator) * UNEVEN_DB
    curve = curve + torch.linspace(-1, 1, BANDS) * uniform(generator, -8, 8)
    fine = F.interpolate(curve, 256, mode="linear", align_corners=True)[0, 0]
    gains = fine[(place * 255).round().long()]
    if uniform(generator) < 0.35:
        hole = (place - uniform(generator)).abs() < uniform(generator, 0.01, 0.07)
        gains = torch.where(hole, gains + HOLE_DB, gains)
    return gains


def echo(generator: torch.Generator) -> Tensor:
    """Draw the response of a room, shape (8000,): the direct sound and a tail that fades by 60 dB in 0.1 to 0.6 s."""
    seconds = torch.arange(LONGEST_ECHO) / SAMPLE_RATE
    tail = torch.randn(LONGEST_ECHO, generator=generator) * torch.exp(-6.9 * seconds / uniform(generator, 0.1, 0.6))
    tail[:32] = 0
    response = tail / tail.norm() * 10 ** (uniform(generator, -22, -4) / 20)
    response[0] = 1
    return response


def hiss(num_samples: int, level_db: float, generator: torch.Generator) -> Tensor:
    """Generate noise with a random spectral tilt at an RMS level."""
    noise = torch.randn(num_samples, generator=generator)
    color = uniform(generator, 0, 0.95)
    kernel = color ** torch.arange(63, -1, -1.0)
    noise = F.conv1d(F.pad(noise[None, None], (63, 0)), kernel[None, None])[0, 0]
    return noise / noise.square().mean().sqrt() * 10 ** (level_db / 20)


def uniform(generator: torch.Generator, low: float = 0.0, high: float = 1.0) -> float:
    """Draw a number from low to high."""
    return low + (high - low) * float(torch.rand((), generator=generator))


def integer(generator: torch.Generator, bound: int) -> int:
    """Draw a whole number from 0 to below the bound."""
    return int(torch.randint(bound, (), generator=generator))
