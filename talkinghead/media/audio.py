"""Read sound from any file that FFmpeg knows, as a stream: an hour needs no more memory than a second."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError

from talkinghead.errors import AudioError
from talkinghead.media.files import require_file

if TYPE_CHECKING:
    from torch import Tensor

MODEL_RATE = 16_000
"""Samples a second that the networks hear."""

_WANTED = "give a wav, mp3, flac, ogg or m4a file, or a video with sound"


@dataclass(frozen=True)
class Sound:
    """A file's first sound track, or a part of it, read through once and found good.

    Attributes:
        file: Where it lies.
        rate: Samples a second.
        channels: How many.
        num_samples: Length in samples of one channel.
        start: Seconds of the file before the part; None stands for the whole file.
    """

    file: Path
    rate: int
    channels: int
    num_samples: int
    start: Fraction | None = None

    @property
    def seconds(self) -> Fraction:
        """Exact length."""
        return Fraction(self.num_samples, self.rate)

    def part(self, start: Fraction, seconds: Fraction) -> Sound:
        """Return at most so many seconds of the sound, from a time on; the same object where that is all of it."""
        if start == 0 and seconds >= self.seconds:
            return self
        left = min(seconds, self.seconds - start)
        return replace(self, start=(self.start or 0) + start, num_samples=max(round(left * self.rate), 0))


def probe_sound(path: str | os.PathLike[str]) -> Sound:
    """Read a sound through once: the lengths that files state are guesses, and its samples may be no numbers.

    Raises:
        InputNotFoundError: There is no such file.
        AudioError: It is a folder, no sound, of zero length, or has NaN or infinite samples.
    """
    file = require_file(path, AudioError)
    rate, channels, num_seconds = 0, 0, Fraction(0)
    for frame in _decode(file):
        rate, channels = rate or frame.sample_rate, channels or frame.layout.nb_channels
        if "fl" in frame.format.name or "db" in frame.format.name:
            _check_finite(file, frame, num_seconds)
        num_seconds += Fraction(frame.samples, frame.sample_rate)
    if not num_seconds:
        raise AudioError(f"{file}: the sound has zero length; {_WANTED}")
    return Sound(file, rate, channels, round(num_seconds * rate))


def stream_mono_16k(file: Path) -> Iterator[Tensor]:
    """Yield a file's sound as the networks hear it: float32 in [-1, 1] at 16 kHz, mono, in parts of shape (N,)."""
    import torch

    for frame in stream_frames(file, MODEL_RATE):
        # FFmpeg's own mix of two floating-point channels is 3 dB louder than either and leaves [-1, 1].
        yield torch.from_numpy(frame.to_ndarray().mean(axis=0))


def stream_frames(
    file: Path, rate: int, layout: str | None = None, frame_size: int | None = None
) -> Iterator[av.AudioFrame]:
    """Yield a file's sound in planar float32 at another rate.

    Args:
        file: The file.
        rate: Samples a second.
        layout: FFmpeg's name of the channels: "mono", "stereo", "5.1" ...; the file's own unless given.
        frame_size: Samples of every frame but the last; whatever comes unless given.
    """
    resampler, known = None, None
    for frame in _decode(file):
        frame.pts = None  # gaps are closed: picture and sound both count samples
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if resampler is None or kind != known:  # a broadcast may change its format on the way
            if resampler is not None:
                yield from resampler.resample(None)
            resampler, known = av.AudioResampler("fltp", layout, rate, frame_size), kind
        yield from resampler.resample(frame)
    if resampler is not None:
        yield from resampler.resample(None)


def stream_part(sound: Sound, rate: int, layout: str, frame_size: int) -> Iterator[av.AudioFrame]:
    """Yield a sound, or the part of a file that it is; arguments as in `stream_frames`."""
    if sound.start is None:
        yield from stream_frames(sound.file, rate, layout, frame_size)
        return
    again = av.AudioResampler("fltp", layout, rate, frame_size)
    skip, left = round(sound.start * rate), round(sound.seconds * rate)
    for frame in stream_frames(sound.file, rate, layout):
        samples = frame.to_ndarray()[:, skip : skip + left]
        skip = max(skip - frame.samples, 0)
        left -= samples.shape[1]
        if samples.size:
            cut = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32), "fltp", layout)
            cut.sample_rate = rate
            yield from again.resample(cut)
        if not left:
            break
    yield from again.resample(None)


def _decode(file: Path) -> Iterator[av.AudioFrame]:
    """Yield the first sound track as it is coded; a packet that is damaged is left out, as players do."""
    with _open(file) as container:
        for packet in _packets(file, container):
            try:
                yield from packet.decode()  # type: ignore[misc]
            except FFmpegError:
                continue


def _packets(file: Path, container: InputContainer) -> Iterator[av.Packet]:
    try:
        yield from container.demux(audio=0)
    except FFmpegError as error:
        raise AudioError(f"{file}: the sound is damaged ({error.strerror}); export it again") from error


@contextmanager
def _open(file: Path) -> Iterator[InputContainer]:
    if file.stat().st_size == 0:
        raise AudioError(f"{file}: the file is empty; {_WANTED}")
    try:
        container = av.open(f"file:{file}")
    except PermissionError:
        raise AudioError(f"{file}: may not be read; check its permissions") from None
    except FFmpegError as error:
        raise AudioError(f"{file}: not a sound that can be read; {_WANTED}") from error
    with container:
        if not container.streams.audio:
            found = "a video without sound" if is_video(container) else "not a sound that can be read"
            raise AudioError(f"{file}: {found}; {_WANTED}")
        yield container


def is_video(container: InputContainer) -> bool:
    """Tell a video from the texts ("tty") and still pictures that FFmpeg opens as if they were videos."""
    name = container.format.name
    return bool(container.streams.video) and name not in {"tty", "image2"} and not name.endswith("_pipe")


def _check_finite(file: Path, frame: av.AudioFrame, start: Fraction) -> None:
    finite = np.isfinite(frame.to_ndarray())
    if not finite.all():
        raise AudioError(
            f"{file}: has samples that are no numbers (NaN or infinite) at {float(start):.2f} s; export it again"
        )
