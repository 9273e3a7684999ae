"""Mix sounds while they are streamed: several voices, and a video's own sound under them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np

from talkinghead.media.audio import Samples, Sound, stream_part

_BLOCK = 4096
"""Samples that are mixed at a time."""

RAMP_SECONDS = 0.05
"""Time over which the volume of a layer changes at the ends of a ducked part."""

_LAYOUTS = {1: "mono", 2: "stereo"}


@dataclass(frozen=True)
class Layer:
    """One sound of a mix.

    Attributes:
        sound: The sound.
        start: Seconds of the mix before it.
        volume: Its volume in the ducked parts; elsewhere it is 1.
        ducked: Beginnings and ends of these parts, in seconds of the mix.
        repeats: Whether it begins again at its end.
    """

    sound: Sound
    start: Fraction = Fraction(0)
    volume: float = 1.0
    ducked: tuple[tuple[float, float], ...] = ()
    repeats: bool = False


@dataclass(frozen=True)
class MixedSound(Sound):
    """A sound that is the sum of several, mixed each time it is decoded; clipped to [-1, 1].

    Attributes:
        layers: The sounds.
    """

    layers: tuple[Layer, ...] = field(default=())

    def decoded(self) -> Iterator[av.AudioFrame]:
        """Yield the mixed frames, in planar float32."""
        layout = _LAYOUTS[self.channels]
        streams = [_blocks(layer, self.rate, layout, self.channels) for layer in self.layers]
        for start in range(0, self.num_samples, _BLOCK):
            mixed: Samples = np.sum([next(stream) for stream in streams], axis=0, dtype=np.float32)
            kept = np.clip(mixed[:, : self.num_samples - start], -1, 1)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(kept), "fltp", layout)
            frame.sample_rate = self.rate
            yield frame


def mix(layers: Sequence[Layer], seconds: Fraction, like: Sound | None = None) -> MixedSound:
    """Mix sounds.

    Args:
        layers: The sounds; the first one gives the mix its name.
        seconds: Length of the mix; sounds that end earlier are silent from then on.
        like: The sound whose rate and channels it has, at most two; by default the highest of all.
    """
    first = layers[0].sound
    counted = [like] if like else [layer.sound for layer in layers]
    rate = max(sound.rate for sound in counted)
    channels = min(max(sound.channels for sound in counted), 2)
    return MixedSound(first.file, rate, channels, round(seconds * rate), layers=tuple(layers))


def _blocks(layer: Layer, rate: int, layout: str, channels: int) -> Iterator[Samples]:
    """Yield the samples of a layer from the start of the mix, endlessly, in blocks of shape (channels, _BLOCK)."""
    waiting, done = np.zeros((channels, 0), np.float32), 0
    for samples in _samples(layer, rate, layout, channels):
        waiting = np.concatenate([waiting, samples], 1)
        while waiting.shape[1] >= _BLOCK:
            block, waiting = waiting[:, :_BLOCK], waiting[:, _BLOCK:]
            yield block * _volume(layer, (done + np.arange(_BLOCK)) / rate)
            done += _BLOCK


def _samples(layer: Layer, rate: int, layout: str, channels: int) -> Iterator[Samples]:
    yield np.zeros((channels, round(layer.start * rate)), np.float32)
    again = True
    while again:
        for frame in stream_part(layer.sound, rate, layout, _BLOCK):
            yield frame.to_ndarray()  # type: ignore[misc] — float32, as the format says
        again = layer.repeats
    while True:
        yield np.zeros((channels, _BLOCK), np.float32)


def _volume(layer: Layer, seconds: Samples) -> Samples:
    """Return a layer's volume at times of the mix."""
    share = np.zeros(len(seconds))
    for begin, end in layer.ducked:
        if begin - RAMP_SECONDS < seconds[-1] and end + RAMP_SECONDS > seconds[0]:
            share = np.maximum(share, np.minimum(seconds - begin, end - seconds) / RAMP_SECONDS + 0.5)
    return (1 + (layer.volume - 1) * np.clip(share, 0, 1)).astype(np.float32)
