"""Copy a file's AAC packets, except where its sound changes: there the new sound is encoded on the same grid of frames.

A packet spans two frames, and each frame is the sum of what two packets say of it. Where copied and encoded packets
meet, both were made from the same sound, so that the sum is right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
from av.audio.codeccontext import AudioCodecContext
from av.container import InputContainer, OutputContainer

from talkinghead.media.audio import Sound, stream_part
from talkinghead.media.container import find_sound, open_container
from talkinghead.media.mix import RAMP_SECONDS
from talkinghead.media.soundtrack import BITS_PER_CHANNEL, LAYOUTS

_FRAME = 1024
"""Samples of a frame."""

_LOW_COMPLEXITY = 2
_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
"""Sample rates by their numbers in a file's header (ISO/IEC 14496-3, 1.6.2.1)."""


class NotCopiedError(Exception):
    """A file's packets cannot be copied; the message says why, as a part of a sentence."""


@dataclass(frozen=True)
class SoundPlan:
    """How a sound is made from a file's packets and from a new sound.

    Attributes:
        file: The file.
        origin: Time of the first picture, in samples by the file's clock.
        first: Time of the first packet, in samples since then.
        last: Time of the last packet.
        changed: Beginnings and ends, in seconds since the first picture, of the parts that are encoded.
    """

    file: Path
    origin: int
    first: int
    last: int
    changed: Sequence[tuple[float, float]]

    def is_changed(self, time: int, rate: int) -> bool:
        """Return whether a packet's two frames touch a changed part."""
        start, stop = time / rate - RAMP_SECONDS, (time + 2 * _FRAME) / rate + RAMP_SECONDS
        return any(start < end and stop > begin for begin, end in self.changed)


def plan_sound(file: Path, begins: Fraction, changed: Sequence[tuple[float, float]], sound: Sound) -> SoundPlan:
    """Plan which packets of a file are copied into a sound.

    Args:
        file: A file with sound.
        begins: Time of its first picture by its clock.
        changed: Beginnings and ends of the changed parts, in seconds since then.
        sound: The new sound.

    Raises:
        NotCopiedError: None can be.
    """
    with open_container(file) as container:
        track = find_sound(container)
        assert track is not None
        coder = track.codec_context
        if coder.name != "aac":
            raise NotCopiedError(f"it is {coder.name}, not aac")
        if (coder.extradata or b"")[:2] != _header(sound):
            raise NotCopiedError("it is aac of another kind than our encoder makes")
        origin = round(begins * sound.rate)
        times = [packet.pts or 0 for packet in _packets(container, origin)]
        base = track.time_base
    is_steady = all(later - earlier == _FRAME for earlier, later in pairwise(times))
    if not times or base != Fraction(1, sound.rate) or not is_steady or times[0] > _FRAME:
        raise NotCopiedError("it has gaps, or times of another kind")
    return SoundPlan(file, origin, times[0], times[-1], changed)


def _header(sound: Sound) -> bytes | None:
    """Return the beginning of the header of AAC of low complexity (AudioSpecificConfig), or None."""
    if sound.rate not in _RATES:
        return None
    return (_LOW_COMPLEXITY << 11 | _RATES.index(sound.rate) << 7 | sound.channels << 3).to_bytes(2, "big")


class CopiedSound:
    """Writes a sound into a container, piece by piece, like `SoundTrack`."""

    def __init__(self, container: OutputContainer, plan: SoundPlan, sound: Sound) -> None:
        """Add a stream for the sound.

        Args:
            container: The container.
            plan: From `plan_sound`.
            sound: What is heard in the changed parts; around them, the file's own sound.
        """
        self._container, self._plan, self._sound = container, plan, sound
        self._input = open_container(plan.file)
        self._stream = container.add_stream_from_template(find_sound(self._input))  # type: ignore[type-var]
        self._packets, self._done = self._chosen(), plan.first

    def encode(self, until: Fraction | None) -> None:
        """Write sound up to a time in seconds, or to its end.

        Raises:
            OSError: It cannot be written.
        """
        while until is None or Fraction(self._done, self._sound.rate) < until:
            packet = next(self._packets, None)
            if packet is None:
                return
            self._done = (packet.pts or 0) + _FRAME
            packet.stream = self._stream
            self._container.mux(packet)

    def finish(self, until: Fraction | None = None) -> None:
        """Write the rest of the sound, even if it is longer than the pictures, so `until` is not used.

        Raises:
            OSError: It cannot be written.
        """
        self.encode(None)

    def drop(self) -> None:
        """Close the sound's file."""
        self._packets = iter(())
        self._input.close()

    def _chosen(self) -> Iterator[av.Packet]:
        """Yield the packets of the result with times in samples since the first picture."""
        plan, rate = self._plan, self._sound.rate
        encoded = self._encoded()
        new = next(encoded, None)
        for packet in _packets(self._input, plan.origin):
            time = packet.pts or 0
            while new is not None and (new.pts or 0) < time:
                new = next(encoded, None)
            is_new = new is not None and new.pts == time and plan.is_changed(time, rate)
            yield new if is_new and new is not None else packet
        end = max((end for _, end in plan.changed), default=0.0) * rate
        yield from (packet for packet in encoded if plan.last < (packet.pts or 0) < end)

    def _encoded(self) -> Iterator[av.Packet]:
        """Encode all of the new sound; it begins with silence so that its frames lie where the file's do."""
        sound, lead = self._sound, -self._plan.first % _FRAME
        layout = LAYOUTS[sound.channels]
        coder = _open_coder(sound, layout)
        shifted = sound.part(Fraction(-lead, sound.rate), sound.seconds + Fraction(lead, sound.rate))
        for n, frame in enumerate(stream_part(shifted, sound.rate, layout, _FRAME)):
            frame.pts, frame.time_base = n * _FRAME - lead, Fraction(1, sound.rate)
            yield from coder.encode(frame)
        yield from coder.encode(None)


def _open_coder(sound: Sound, layout: str) -> AudioCodecContext:
    coder: AudioCodecContext = av.CodecContext.create("aac", "w")
    coder.sample_rate, coder.layout, coder.format = sound.rate, layout, "fltp"  # type: ignore[assignment]
    coder.time_base, coder.bit_rate = Fraction(1, sound.rate), BITS_PER_CHANNEL * sound.channels
    return coder


def _packets(container: InputContainer, origin: int) -> Iterator[av.Packet]:
    """Yield the packets of a file's sound with times since an origin."""
    for packet in container.demux(find_sound(container)):
        if packet.size and packet.pts is not None:
            packet.pts = packet.dts = packet.pts - origin
            yield packet
