"""Convert live sound: chunks of any type and rate to the networks' input and to the sound of live pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from liveportrait.numerals import read_whole
from talkinghead.errors import AudioError
from talkinghead.host.isolation import made_with_callers
from talkinghead.media.audio import MODEL_RATE
from talkinghead.wording import counted

Samples = NDArray[Any] | Tensor
"""Mono samples of shape (N,), (N, 1) or (1, N), N ≥ 0: floating-point in [-1, 1], or integers as in WAV files."""

FULL_SCALE = 32_768
"""The distance from silence to full scale in 16-bit samples."""

_INTEGERS = {"uint8": (128, 128), "int16": (0, FULL_SCALE), "int32": (0, 2_147_483_648)}
"""The value of silence, and the distance from it to full scale."""

_LOUDEST = 100.0
_LEAST_RATE, _MOST_RATE = 1_000, 768_000
_PIECES = 25
"""Pieces per second into which chunks are cut, so that long chunks do not delay pictures."""


class Chunks(Protocol):
    """A queue of chunks: `queue.Queue`, `multiprocessing.Queue` and the like."""

    def get(self) -> Samples | None:
        """Wait for the next chunk; None ends the sound."""
        ...


class Resampler:
    """Converts floating-point samples to another rate; the result is as long as the sound, and not shifted."""

    def __init__(self, rate: int, target: int) -> None:
        self._rate, self._same = rate, rate == target
        self._resampler = av.AudioResampler("fltp", "mono", target)

    def push(self, samples: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Convert samples, shape (N,); some of the result may come later."""
        if self._same or not len(samples):
            return [samples]
        frame = av.AudioFrame.from_ndarray(samples[None], "fltp", "mono")
        frame.sample_rate = self._rate
        return [part.to_ndarray()[0] for part in self._resampler.resample(frame)]

    def finish(self) -> list[NDArray[np.float32]]:
        """Return the rest of the result."""
        return [] if self._same else [part.to_ndarray()[0] for part in self._resampler.resample(None)]


def to_voice(sound: Iterable[Samples] | Chunks, rate: int) -> Iterator[Tensor]:
    """Convert live sound to the networks' input: float32 at 16 kHz, in pieces of at most 40 ms.

    Raises:
        AudioError: The rate is invalid, or the sound is neither an iterable nor a queue of chunks; during iteration
            also if a chunk does not hold mono samples.
    """
    rate = check_rate(rate)
    if isinstance(sound, np.ndarray | Tensor):
        sound = [sound]
    elif not isinstance(sound, Iterable):
        if not hasattr(sound, "get"):
            raise AudioError(f"the sound is {type(sound).__name__}: give chunks of samples, or a queue of them")
        sound = _taken(sound)
    pieces = (piece for chunk in made_with_callers(sound) for piece in cut(to_floats(chunk), rate))
    return map(torch.from_numpy, _resampled(pieces, Resampler(rate, MODEL_RATE)))


def check_rate(rate: object) -> int:
    """Return a rate in samples per second.

    Raises:
        AudioError: It is no whole number, or too low or too high.
    """
    try:
        whole = int(rate) if isinstance(rate, float) and rate.is_integer() else rate
        return read_whole(whole, "samples a second", _LEAST_RATE, _MOST_RATE)
    except ValueError as error:
        raise AudioError(f"invalid rate: {error}") from None


def to_floats(chunk: Samples) -> NDArray[np.float32]:
    """Return a chunk as floating-point samples, shape (N,).

    Raises:
        AudioError: The chunk has another shape or type, or values out of range.
    """
    if isinstance(chunk, Tensor):  # numpy has no bfloat16
        chunk = (chunk.float() if chunk.is_floating_point() else chunk).numpy(force=True)
    values = np.asarray(chunk)
    kind = str(values.dtype)
    if values.ndim not in (1, 2) or (values.ndim == 2 and 1 not in values.shape):
        raise AudioError(f"a chunk of sound has shape {values.shape}: give one channel, (N,)")
    if values.dtype.kind != "f" and kind not in _INTEGERS:
        raise AudioError(f"a chunk of sound is in {kind}: give float32 in [-1, 1], or {', '.join(_INTEGERS)}")
    loudest = float(np.abs(values).max(initial=0)) if values.dtype.kind == "f" else 0.0
    if not loudest <= _LOUDEST:  # NaN too
        raise AudioError(f"a chunk of sound has samples up to {loudest:.3g}: give floating-point in [-1, 1]")
    silence, full = _INTEGERS.get(kind, (0, 1))
    return np.ascontiguousarray((values.ravel().astype(np.float32) - silence) / np.float32(full), np.float32)


def from_bytes(pcm: bytes | bytearray | memoryview) -> NDArray[np.int16]:
    """Read 16-bit little-endian samples.

    Raises:
        AudioError: The number of bytes is odd.
    """
    if len(pcm) % 2:
        raise AudioError(f"a chunk of sound has {counted(len(pcm), 'byte')}: 16-bit samples have two bytes each")
    return np.frombuffer(pcm, "<i2")


def to_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Convert floating-point samples to 16 bits, clipping what is louder than full scale."""
    return np.clip(np.rint(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def cut(samples: NDArray[np.float32], rate: int) -> Iterator[NDArray[np.float32]]:
    """Cut samples into pieces of at most 40 ms."""
    size = rate // _PIECES
    return (samples[start : start + size] for start in range(0, len(samples), size))


def _taken(queue: Chunks) -> Iterator[Samples]:
    """Yield chunks from a queue until None; `iter(queue.get, None)` would compare every sample with None."""
    while (chunk := queue.get()) is not None:
        yield chunk


def _resampled(pieces: Iterable[NDArray[np.float32]], resampler: Resampler) -> Iterator[NDArray[np.float32]]:
    for piece in pieces:
        yield from resampler.push(piece)
    yield from resampler.finish()
