"""Streaming inference: short windows, encoded every few frames, with a bounded look-ahead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

from audio2motion.config import FRAME_RATE, FRAME_SAMPLES
from audio2motion.loudness import RELEASE_DB_PER_SECOND, gain, voice_level

Result = TypeVar("Result")

WINDOW = 30
"""Frames per window, including the look-ahead. Twice as many cost twice as much and help by 0.01 in correlation."""

HOP = 4
"""Frames from one window to the next, which are generated together; the first frame is generated alone, to be there
sooner."""

AHEAD = 2
"""Frames of look-ahead: 200 ms for the first frame of a hop and 80 ms for the last."""

INITIAL_DB = -32.0
"""Assumed level of the voice before any samples; it decays towards the level of a quieter voice."""


class VoiceStream(Generic[Result]):
    """Generates motion, or the features behind it, for speech of unknown length.

    Windows end at fixed positions, so chunk boundaries do not matter.

    Args:
        encode: Computes features (T, C) of a window at the common level, (640 T,).
        generate: Converts features of consecutive frames to the results, usually motion.
    """

    def __init__(self, encode: Callable[[Tensor], Tensor], generate: Callable[[Tensor], Result]) -> None:
        self._encode, self._generate = encode, generate
        self._kept = torch.zeros(0, dtype=torch.float32)  # samples from frame `_first` on
        self._first, self._done, self._level = 0, 0, INITIAL_DB
        self._finished = False

    @torch.inference_mode()
    def push(self, samples: Tensor) -> list[Result]:
        """Add samples.

        Args:
            samples: 16 kHz mono in [-1, 1], float32, shape (N,), N ≥ 0.

        Returns:
            The parts of the result that are ready, in order; often none.

        Raises:
            ValueError: The samples are not a one-dimensional floating-point tensor, or the stream was finished.
        """
        if self._finished:
            raise ValueError("the voice has ended; begin a new stream")
        self._kept = torch.cat([self._kept, checked(samples)])
        ready = []
        while len(self._kept) >= (self._done + self._hop + AHEAD - self._first) * FRAME_SAMPLES:
            ready.append(self._generate_next(self._done + self._hop + AHEAD, self._hop))
        return ready

    @torch.inference_mode()
    def finish(self) -> list[Result]:
        """End the stream; its last frame is padded with silence.

        Returns:
            The remaining result: at most one part. In total, the stream returns ⌈samples / 640⌉ frames.
        """
        self._finished = True
        self._kept = torch.nn.functional.pad(self._kept, (0, -len(self._kept) % FRAME_SAMPLES))
        end = self._first + len(self._kept) // FRAME_SAMPLES
        return [self._generate_next(end, end - self._done)] if end > self._done else []

    @property
    def _hop(self) -> int:
        """The number of frames that are generated next."""
        return HOP if self._done else 1

    def _generate_next(self, end: int, count: int) -> Result:
        """Generate the next `count` frames from a window that stops before frame `end`."""
        start = max(end - WINDOW, 0)
        self._kept, self._first = self._kept[(start - self._first) * FRAME_SAMPLES :], start
        window = self._kept[: (end - start) * FRAME_SAMPLES]
        self._level = max(float(voice_level(window)), self._level - RELEASE_DB_PER_SECOND * count / FRAME_RATE)
        features = self._encode(_mirror_padded(window * gain(self._level)))[self._done - end :][:count]
        self._done += count
        return self._generate(features)


def _mirror_padded(window: Tensor) -> Tensor:
    """Pad a short window at its start with its reflections, since the network was trained on full windows."""
    while len(window) < WINDOW * FRAME_SAMPLES:
        window = torch.cat([window.flip(0), window])
    return window[-WINDOW * FRAME_SAMPLES :]


def checked(samples: Tensor) -> Tensor:
    """Validate samples and convert them to float32 on the CPU.

    Raises:
        ValueError: They are not a one-dimensional floating-point tensor.
    """
    if samples.ndim != 1 or not samples.is_floating_point():
        raise ValueError(f"expected samples of shape (N,) in float32, got {tuple(samples.shape)} in {samples.dtype}")
    return samples.detach().float().cpu()
