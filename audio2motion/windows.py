"""Process audio of any length in constant memory: overlapping windows with cross-faded results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from audio2motion.config import FRAME_RATE, FRAME_SAMPLES
from audio2motion.loudness import RELEASE_DB_PER_SECOND, gain, voice_level

WINDOW, HOP = 80, 50  # frames
OVERLAP = WINDOW - HOP
MARGIN = 10  # frames at a window's cut end that lack context and are not used


def windows(chunks: Iterable[Tensor]) -> Iterator[Tensor]:
    """Cut a stream of samples into windows at fixed positions, independent of the chunks.

    Args:
        chunks: 16 kHz mono, each of shape (N,), N ≥ 0.

    Yields:
        Windows of 80 frames of 640 samples, one every 50 frames; the last one is shorter and zero-padded to whole
        frames. An empty stream has no windows.
    """
    kept = torch.zeros(0, dtype=torch.float32)
    for chunk in chunks:
        kept = torch.cat([kept, chunk])
        while len(kept) > WINDOW * FRAME_SAMPLES:
            yield kept[: WINDOW * FRAME_SAMPLES]
            kept = kept[HOP * FRAME_SAMPLES :]
    if len(kept):
        yield torch.nn.functional.pad(kept, (0, -len(kept) % FRAME_SAMPLES))


def level_windows(parts: Iterable[Tensor]) -> Iterator[Tensor]:
    """Scale windows to the common level, tracking the level of the voice so that pauses stay quiet."""
    level = -torch.inf
    for part in parts:
        level = max(float(voice_level(part)), level - RELEASE_DB_PER_SECOND * HOP / FRAME_RATE)
        yield part * gain(level)


def cross_fade(results: Iterable[Tensor]) -> Iterator[Tensor]:
    """Join per-frame results of overlapping windows.

    Args:
        results: Results of the windows, shape (frames, C).

    Yields:
        Consecutive frames, (n, C). In an overlap, the older window is cross-faded to the newer one between the margins.
    """
    ramp = ((torch.arange(OVERLAP, dtype=torch.float32) - MARGIN + 0.5) / (OVERLAP - 2 * MARGIN)).clamp(0, 1)[:, None]
    pending: Tensor | None = None
    for result in results:
        if pending is None:
            pending = result
            continue
        yield pending[:-OVERLAP]
        passage = torch.lerp(pending[-OVERLAP:], result[:OVERLAP], ramp)
        pending = torch.cat([passage, result[OVERLAP:]])
    if pending is not None:
        yield pending


def through_windows(chunks: Iterable[Tensor], function: Callable[[Tensor], Tensor]) -> Iterator[Tensor]:
    """Apply a function (samples (N,) → (N / 640, C)) to a stream of any length."""
    yield from cross_fade(function(part) for part in level_windows(windows(chunks)))
