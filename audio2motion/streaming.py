"""A voice performed while it is spoken: short windows, looked at anew every few frames, and a bounded look ahead."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from audio2motion.config import FRAME_RATE, FRAME_SAMPLES
from audio2motion.loudness import RELEASE_DB_PER_SECOND, gain, voice_level
from liveportrait.motion import SpeechMotion

WINDOW = 60
"""Frames that the network hears at a time: what was said, and what is ahead."""

HOP = 2
"""Frames from one window to the next, shown together."""

AHEAD = 4
"""Frames that must be heard beyond those that are shown: the first of a hop sees 200 ms ahead, the last 160 ms."""

INITIAL_DB = -32.0
"""Level that a voice is taken to have before it was heard; a quieter one is raised as this is forgotten."""


class VoiceStream:
    """What has been heard of a voice of unknown length, and how far it was performed.

    Windows end at fixed places, so the sound's chunks do not matter.

    Args:
        hear: Turns a window at the common level, (640 T,), into what is performed, (T, C).
        generate: Turns consecutive frames of that into a performance.
    """

    def __init__(self, encode: Callable[[Tensor], Tensor], generate: Callable[[Tensor], SpeechMotion]) -> None:
        self._encode, self._generate = encode, generate
        self._kept = torch.zeros(0, dtype=torch.float32)  # samples from frame `_first` on
        self._first, self._done, self._level = 0, 0, INITIAL_DB
        self._finished = False

    @torch.inference_mode()
    def push(self, samples: Tensor) -> list[SpeechMotion]:
        """Hear on.

        Args:
            samples: 16 kHz mono in [-1, 1], float32, shape (N,), N ≥ 0.

        Returns:
            The parts of the performance that are ready now, in order; often none.

        Raises:
            ValueError: These are not one row of floating-point samples, or the voice has ended.
        """
        if self._finished:
            raise ValueError("the voice has ended; begin a new stream")
        self._kept = torch.cat([self._kept, checked(samples)])
        ready = []
        while len(self._kept) >= (self._done + HOP + AHEAD - self._first) * FRAME_SAMPLES:
            ready.append(self._generate_next(self._done + HOP + AHEAD, HOP))
        return ready

    @torch.inference_mode()
    def finish(self) -> list[SpeechMotion]:
        """End the voice; its last frame is filled up with silence.

        Returns:
            What is left: one part, or none where nothing was heard. Together ⌈samples / 640⌉ frames were performed.
        """
        self._finished = True
        self._kept = torch.nn.functional.pad(self._kept, (0, -len(self._kept) % FRAME_SAMPLES))
        end = self._first + len(self._kept) // FRAME_SAMPLES
        return [self._generate_next(end, end - self._done)] if end > self._done else []

    def _generate_next(self, end: int, count: int) -> SpeechMotion:
        """Perform the next frames, having heard those before `end`."""
        start = max(end - WINDOW, 0)
        self._kept, self._first = self._kept[(start - self._first) * FRAME_SAMPLES :], start
        window = self._kept[: (end - start) * FRAME_SAMPLES]
        self._level = max(float(voice_level(window)), self._level - RELEASE_DB_PER_SECOND * count / FRAME_RATE)
        features = self._encode(_mirror_padded(window * gain(self._level)))[self._done - end :][:count]
        self._done += count
        return self._generate(features)


def _mirror_padded(window: Tensor) -> Tensor:
    """Put what was heard, mirrored back and forth, before a window that is not full: the network knows none shorter."""
    while len(window) < WINDOW * FRAME_SAMPLES:
        window = torch.cat([window.flip(0), window])
    return window[-WINDOW * FRAME_SAMPLES :]


def checked(samples: Tensor) -> Tensor:
    """Return samples as the networks take them.

    Raises:
        ValueError: They are not one row of floating-point samples.
    """
    if samples.ndim != 1 or not samples.is_floating_point():
        raise ValueError(f"expected samples of shape (N,) in float32, got {tuple(samples.shape)} in {samples.dtype}")
    return samples.detach().float().cpu()
