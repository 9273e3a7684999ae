"""Encode the sound of a video in step with its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer

from talkinghead.media.audio import Sound, stream_part

_RATES = {
    "aac": (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000),
    "libopus": (8000, 12000, 16000, 24000, 48000),
    "pcm_s16le": (8000, 16000, 22050, 24000, 44100, 48000, 96000),
}
LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
_FRAME = {"aac": 1024, "libopus": 960, "pcm_s16le": 1024}
_SAMPLES = {"aac": "fltp", "libopus": "flt", "pcm_s16le": "s16"}
BITS_PER_CHANNEL = 96_000


class SoundTrack:
    """Encodes a sound into a container, piece by piece."""

    def __init__(self, container: OutputContainer, sound: Sound, codec: str) -> None:
        """Add a stream for the sound, at its own rate and channels if the encoder supports them."""
        self._container = container
        rate = next((rate for rate in _RATES[codec] if rate >= sound.rate), _RATES[codec][-1])
        layout = LAYOUTS.get(sound.channels, "stereo")
        coding = {} if codec.startswith("pcm") else {"bit_rate": BITS_PER_CHANNEL * sound.channels}
        self._stream: AudioStream = container.add_stream(codec, rate=rate, layout=layout, **coding)  # type: ignore[assignment]
        self._stream.codec_context.format = _SAMPLES[codec]
        self._rate, self._done = rate, 0
        self._pending = self._frames(sound, layout, codec)

    def encode(self, until: Fraction | None) -> None:
        """Encode sound up to a time in seconds, or to its end.

        Raises:
            OSError: It cannot be written.
        """
        while until is None or Fraction(self._done, self._rate) < until:
            frame = next(self._pending, None)
            if frame is None:
                return
            frame.pts, frame.time_base = self._done, Fraction(1, self._rate)
            self._done += frame.samples
            self._container.mux(self._stream.encode(frame))

    def finish(self, until: Fraction | None = None) -> None:
        """Encode the rest, up to a time in seconds if given, and flush the encoder.

        Raises:
            OSError: It cannot be written.
        """
        self.encode(until)
        self._container.mux(self._stream.encode(None))

    def drop(self) -> None:
        """Close the sound's file."""
        self._pending = iter(())

    def _frames(self, sound: Sound, layout: str, codec: str) -> Iterator[av.AudioFrame]:
        frames = stream_part(sound, self._rate, layout, _FRAME[codec])
        if _SAMPLES[codec] == "fltp":
            yield from frames
            return
        convert = av.AudioResampler(_SAMPLES[codec], layout, self._rate, _FRAME[codec])
        for frame in frames:
            frame.pts = None
            yield from convert.resample(frame)
        yield from convert.resample(None)
