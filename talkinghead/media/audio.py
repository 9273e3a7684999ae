"""Read sound from any file that FFmpeg knows: open it once, and stream it as often and in as many forms as needed.

`probe_sound` decodes the whole file, because the length that a file states is a guess. What it decodes is kept, so that
the networks and the encoder of the result, which are at different places of the sound at the same time, need not open
the file again. A long sound is not kept (`kept_frames` says when): each of them decodes the file for itself, so that an
hour needs no more memory than some minutes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import AudioError
from talkinghead.media.container import LONGEST_GAP, find_video
from talkinghead.media.decode import WANTED, decode_sound, decode_track, open_sound
from talkinghead.media.kept_frames import FrameKeeper, KeptFrame
from talkinghead.media.levels import Levels

if TYPE_CHECKING:
    from torch import Tensor

Samples = NDArray[np.float32]

MODEL_RATE = 16_000
"""Samples per second of the networks' input."""

_SHORTEST = Fraction(1, 100)
"""Shortest sound in seconds; shorter ones might have no samples after resampling."""

_NOTICED = Fraction(1, 1000)
"""Smallest offset in seconds between the starts of sound and picture that is corrected."""


@dataclass(frozen=True)
class Sound:
    """A file's first sound track, or a part of it, read through once and found good.

    Attributes:
        file: Where it lies.
        rate: Samples a second.
        channels: The number of channels.
        num_samples: Length in samples of one channel.
        start: Seconds of the file's sound before the part, negative for silence that comes first; None stands for
            the whole file.
        begins: Time of its first sample in seconds by the file's clock, which sound and picture share.
        voice: The channel that the networks use; None for the average.
        has_pictures: Whether the file is a video.
        kept: The decoded frames of the whole file, or None if they are too many to keep.
    """

    file: Path
    rate: int
    channels: int
    num_samples: int
    start: Fraction | None = None
    begins: Fraction = Fraction(0)
    voice: int | None = None
    has_pictures: bool = False
    kept: Sequence[KeptFrame] | None = field(default=None, repr=False, compare=False)

    @property
    def seconds(self) -> Fraction:
        """Exact duration."""
        return Fraction(self.num_samples, self.rate)

    def decoded(self) -> Iterator[av.AudioFrame]:
        """Yield the decoded frames of the whole file; they are the caller's own and have no times."""
        if self.kept is not None:
            yield from (frame.restored() for frame in self.kept)
            return
        for frame in decode_sound(self.file):
            frame.pts = None  # gaps are filled by now: picture and sound both count samples
            yield frame

    def part(self, start: Fraction, seconds: Fraction) -> Sound:
        """Return a part of the sound of at most so many seconds from a start time; the same object for all of it."""
        if start == 0 and seconds >= self.seconds:
            return self
        left = min(seconds, self.seconds - start)
        return replace(self, start=(self.start or 0) + start, num_samples=max(round(left * self.rate), 0))

    def starting_at(self, origin: Fraction) -> Sound:
        """Return the sound shifted so that it starts at a time of the file's clock, by trimming or adding silence.

        Raises:
            AudioError: The offset is so large that the file's times must be damaged.
        """
        late = self.begins - origin
        if abs(late) > LONGEST_GAP:
            raise AudioError(
                f"{self.file}: its sound and its picture begin {abs(float(late)):.0f} s apart: its times are damaged; "
                "export it again"
            )
        return self if abs(late) < _NOTICED else self.part(-late, self.seconds + late)


def probe_sound(path: str | os.PathLike[str]) -> Sound:
    """Open a file and decode its sound, for its exact length and all later use; its samples may be no numbers.

    Raises:
        InputNotFoundError: There is no such file.
        AudioError: It is a folder, no sound, too short, or has NaN or infinite samples.
    """
    sound = _probe(Path(path))
    if sound.seconds < _SHORTEST:
        found = f"is too short ({float(sound.seconds):.4f} s)" if sound.num_samples else "has zero length"
        raise AudioError(f"{sound.file}: the sound {found}; {WANTED}")
    return sound


def _probe(file: Path) -> Sound:
    rate, channels, begins, num_seconds = 0, 0, Fraction(0), Fraction(0)
    levels, keeper = Levels(file), FrameKeeper()
    with open_sound(file) as (container, track):
        has_pictures = find_video(container) is not None
        for frame in decode_track(file, container, track):
            if not rate:
                rate, channels = frame.sample_rate, frame.layout.nb_channels
                begins = frame.pts * frame.time_base if frame.pts is not None and frame.time_base else Fraction(0)
            levels.add(frame, num_seconds)
            keeper.add(frame)
            num_seconds += Fraction(frame.samples, frame.sample_rate)
    rate = rate or MODEL_RATE
    num_samples = round(num_seconds * rate)
    return Sound(file, rate, channels, num_samples, None, begins, levels.voice(), has_pictures, keeper.frames)


def stream_mono_16k(sound: Sound | Path) -> Iterator[Tensor]:
    """Yield a sound as the networks' input: float32 in [-1, 1] at 16 kHz, mono, in parts of shape (N,)."""
    import torch

    yield from map(torch.from_numpy, stream_mono(sound, MODEL_RATE))


def stream_mono(sound: Sound | Path, rate: int) -> Iterator[Samples]:
    """Yield a sound as mono float32 at another sample rate, in parts of shape (N,)."""
    sound = _probe(sound) if isinstance(sound, Path) else sound
    for samples in _stream_samples(sound, rate, None):
        # FFmpeg's own mix of two floating-point channels is 3 dB louder than either and leaves [-1, 1].
        has_voice = sound.voice is not None and sound.voice < len(samples)
        yield np.ascontiguousarray(samples[sound.voice]) if has_voice else samples.mean(axis=0)


def stream_part(sound: Sound, rate: int, layout: str, frame_size: int) -> Iterator[av.AudioFrame]:
    """Yield a sound, or the part of a file that it is; arguments as in `stream_frames`."""
    if sound.start is None:
        yield from stream_frames(sound, rate, layout, frame_size)
        return
    again = av.AudioResampler("fltp", layout, rate, frame_size)
    for samples in _stream_samples(sound, rate, layout):
        cut = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32), "fltp", layout)
        cut.sample_rate = rate
        yield from again.resample(cut)
    yield from again.resample(None)


def stream_frames(
    sound: Sound | Path, rate: int, layout: str | None = None, frame_size: int | None = None
) -> Iterator[av.AudioFrame]:
    """Yield the sound of a whole file in planar float32 at another rate.

    Args:
        sound: The sound, or a file.
        rate: Samples a second.
        layout: FFmpeg's name of the channels: "mono", "stereo", "5.1" ...; the file's own unless given.
        frame_size: Samples of every frame but the last; whatever comes unless given.
    """
    resampler, known = None, None
    sound = _probe(sound) if isinstance(sound, Path) else sound
    for frame in sound.decoded():
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if resampler is None or kind != known:  # a broadcast may change its format on the way
            if resampler is not None:
                yield from resampler.resample(None)
            resampler, known = av.AudioResampler("fltp", layout, rate, frame_size), kind
        yield from resampler.resample(frame)
    if resampler is not None:
        yield from resampler.resample(None)


def _stream_samples(sound: Sound, rate: int, layout: str | None) -> Iterator[Samples]:
    """Yield a sound, or the part of a file that it is, in arrays of shape (channels, N)."""
    skip = round((sound.start or 0) * rate)
    left = None if sound.start is None else round(sound.seconds * rate)
    for frame in stream_frames(sound, rate, layout):
        samples: Samples = frame.to_ndarray()  # type: ignore[assignment]
        while skip < 0 and left:  # silence comes first, a second at a time
            silent = np.zeros((len(samples), min(-skip, left, rate)), np.float32)
            yield silent
            skip, left = skip + silent.shape[1], left - silent.shape[1]
        samples = samples[:, skip : None if left is None else skip + left]
        skip = max(skip - frame.samples, 0)
        left = None if left is None else left - samples.shape[1]
        if samples.size:
            yield samples
        if left == 0:
            break
