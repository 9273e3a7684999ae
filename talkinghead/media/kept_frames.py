"""Keep decoded sound in memory, so that a file need not be decoded again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import av
from numpy.typing import NDArray

MOST_BYTES = 64 << 20
"""Most memory for a file's frames: 6 minutes of 16-bit stereo at 48 kHz, 23 minutes of 16-bit mono at 24 kHz."""

_BYTES_PER_FRAME = 500
"""Memory that a frame needs besides its samples; some files have frames of a few samples."""


@dataclass(frozen=True, slots=True)
class KeptFrame:
    """The samples of a decoded frame, and what they are; unlike FFmpeg's frames it cannot be changed by a reader.

    Attributes:
        samples: As `av.AudioFrame.to_ndarray` returns them.
        format: FFmpeg's name of their type and order.
        layout: FFmpeg's name of the channels.
        rate: Samples a second of one channel.
    """

    samples: NDArray
    format: str
    layout: str
    rate: int

    def restored(self) -> av.AudioFrame:
        """Return a new frame without a time."""
        frame = av.AudioFrame.from_ndarray(self.samples, self.format, self.layout)
        frame.sample_rate = self.rate
        return frame


class FrameKeeper:
    """Collects the frames of one file, and forgets them all when there are too many."""

    def __init__(self) -> None:
        """Start with no frames."""
        self._frames: list[KeptFrame] | None = []
        self._bytes = 0

    @property
    def frames(self) -> Sequence[KeptFrame] | None:
        """The frames, in order, or None if they need more than `MOST_BYTES`."""
        return self._frames

    def add(self, frame: av.AudioFrame) -> None:
        """Add a frame of a format that NumPy has."""
        if self._frames is None:
            return
        samples = frame.to_ndarray()
        self._bytes += samples.nbytes + _BYTES_PER_FRAME
        if self._bytes > MOST_BYTES:
            self._frames = None
            return
        self._frames.append(KeptFrame(samples, frame.format.name, frame.layout.name, frame.sample_rate))
