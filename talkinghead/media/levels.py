"""Measure the levels of a sound's channels, to detect damaged samples and stereo in opposite phase."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import AudioError

_LOUDEST = 100.0
"""Largest accepted floating-point sample; full scale is 1."""

_CANCELLED = 0.25
"""Power of the channels' average, relative to that of uncorrelated channels, below which they cancel each other."""


class Levels:
    """Accumulates the power of a sound's channels and of their average."""

    def __init__(self, file: Path) -> None:
        """Start with zero power.

        Args:
            file: The sound's name in messages.
        """
        self._file = file
        self._channels: NDArray[np.float64] | None = None
        self._average = 0.0

    def add(self, frame: av.AudioFrame, start: Fraction) -> None:
        """Add a frame.

        Args:
            frame: A frame of any format.
            start: Its time in seconds.

        Raises:
            AudioError: It has samples that are NaN, infinite or far beyond full scale.
        """
        is_float = frame.format.name.startswith(("flt", "dbl"))
        num_channels = frame.layout.nb_channels
        if not is_float and num_channels == 1:
            return
        with np.errstate(over="ignore"):
            samples = channels_of(frame).astype(np.float32, copy=False)
        if is_float:
            self._check(samples, start)
        if self._channels is None:
            self._channels = np.zeros(num_channels)
        if num_channels == len(self._channels):
            self._channels += np.square(samples).sum(axis=1, dtype=np.float64)
            self._average += float(np.square(samples.mean(axis=0)).sum(dtype=np.float64))

    def voice(self) -> int | None:
        """Return the loudest channel if the channels cancel each other, otherwise None."""
        if self._channels is None or len(self._channels) == 1:
            return None
        unlike = self._channels.sum() / len(self._channels) ** 2
        return int(self._channels.argmax()) if self._average < _CANCELLED * unlike else None

    def _check(self, samples: NDArray[np.float32], start: Fraction) -> None:
        peak = np.abs(samples).max(initial=0)
        if not np.isfinite(peak):
            found = "samples that are no numbers (NaN or infinite)"
        elif peak > _LOUDEST:
            found = f"samples of {peak:.3g}, where full scale is 1,"
        else:
            return
        raise AudioError(f"{self._file}: has {found} at {float(start):.2f} s; export it again")


def channels_of(frame: av.AudioFrame) -> NDArray:
    """Return a frame's samples, shape (channels, N), with integers converted to [-1, 1)."""
    samples: NDArray = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype.kind == "f":
        return samples
    limits = np.iinfo(samples.dtype)
    middle = (int(limits.min) + int(limits.max) + 1) // 2
    return (samples.astype(np.float32) - np.float32(middle)) / (int(limits.max) + 1 - middle)
