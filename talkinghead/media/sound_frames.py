"""Normalize decoded sound: limit its channels and fill gaps with silence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
import numpy as np

from talkinghead.media.container import LONGEST_GAP
from talkinghead.media.levels import channels_of

_MOST_CHANNELS = 8
_GAP = Fraction(1, 10)
"""Shortest gap in seconds that is filled; shorter ones are jitter or a damaged packet."""


def readable_by_numpy(frame: av.AudioFrame) -> av.AudioFrame:
    """Convert 64-bit integers, which PyAV has no arrays for, to floating point; return other frames unchanged."""
    if not frame.format.name.startswith("s64"):
        return frame
    (converted,) = av.AudioResampler("dbl").resample(frame)
    return converted


def mixed_down(frame: av.AudioFrame) -> av.AudioFrame:
    """Average the channels of a frame that has more than FFmpeg's resampler supports; return others unchanged."""
    if frame.layout.nb_channels <= _MOST_CHANNELS:
        return frame
    with np.errstate(over="ignore"):
        average = channels_of(frame).mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
    return _like(frame, av.AudioFrame.from_ndarray(average, "fltp", "mono"), frame.pts)


def without_gaps(frames: Iterable[av.AudioFrame]) -> Iterator[av.AudioFrame]:
    """Fill gaps of a stream with silence, so that all sound stays at its time.

    Times that go backwards or jump far ahead, such as at joints of streams, are ignored.
    """
    due: Fraction | None = None  # the time of the next sample by the file's clock
    for frame in frames:
        if frame.pts is not None and frame.time_base:
            shown = frame.pts * frame.time_base
            late = shown - due if due is not None else Fraction(0)
            if _GAP < late <= LONGEST_GAP:
                yield from _silence(frame, late)
            if due is None or abs(late) > _GAP:
                due = shown
        if due is not None:
            due += Fraction(frame.samples, frame.sample_rate)
        yield frame


def _silence(frame: av.AudioFrame, seconds: Fraction) -> Iterator[av.AudioFrame]:
    """Yield silence with the rate and channels of a frame, a second at a time."""
    left = round(seconds * frame.sample_rate)
    while left:
        count = min(left, frame.sample_rate)
        silent = np.zeros((frame.layout.nb_channels, count), np.float32)
        yield _like(frame, av.AudioFrame.from_ndarray(silent, "fltp", frame.layout.name), None)
        left -= count


def _like(frame: av.AudioFrame, made: av.AudioFrame, pts: int | None) -> av.AudioFrame:
    made.sample_rate, made.pts, made.time_base = frame.sample_rate, pts, frame.time_base
    return made
