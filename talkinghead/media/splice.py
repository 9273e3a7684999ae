"""Join clips of the same encoding into one video without encoding their pictures again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from av.video.stream import VideoStream

from talkinghead.media.audio import Sound
from talkinghead.media.encode import open_output
from talkinghead.media.formats import Format
from talkinghead.media.soundtrack import SoundTrack
from talkinghead.provenance.marks import Marks


@dataclass(frozen=True)
class Mark:
    """A chapter of a video.

    Attributes:
        title: The title in players.
        start: Index of its first frame.
        end: Index of the frame after its last one.
    """

    title: str
    start: int
    end: int


@dataclass(frozen=True)
class Splice:
    """The parts of a joined video.

    Attributes:
        clips: Files with their numbers of frames, in order, all of one format, size and quality.
        sound: The sound.
        fps: Frames per second.
        kind: The format of the clips.
        chapters: The chapters.
        title: The title in players.
    """

    clips: Sequence[tuple[Path, int]]
    sound: Sound
    fps: Fraction
    kind: Format
    chapters: Sequence[Mark] = ()
    title: str = ""


def write_splice(file: Path, splice: Splice, marks: Marks | None = None) -> None:
    """Write a joined video; it is not signed yet.

    Raises:
        OSError: The file cannot be written.
        ValueError: A clip has another encoding than the first one.
    """
    with open_output(file, splice.kind, marks) as container:
        _fill(container, splice)


def _fill(container: OutputContainer, splice: Splice) -> None:
    if splice.title:
        container.metadata["title"] = splice.title
    with av.open(f"file:{splice.clips[0][0]}") as first:
        video: VideoStream = container.add_stream_from_template(first.streams.video[0])  # type: ignore[assignment]
        header = bytes(first.streams.video[0].codec_context.extradata or b"")
    video.time_base = 1 / splice.fps
    if splice.kind.alpha:
        video.metadata["alpha_mode"] = "1"
    sound = SoundTrack(container, splice.sound, splice.kind.sound)
    container.set_chapters([_chapter(n, mark, splice.fps) for n, mark in enumerate(splice.chapters)])
    done = 0
    for clip, count in splice.clips:
        for packet in _packets(clip, header, splice.fps):
            packet.stream, packet.time_base = video, 1 / splice.fps
            shown = packet.pts or 0
            packet.pts, packet.dts = done + shown, done + (packet.dts or 0) - splice.kind.max_delay
            packet.duration = 1
            container.mux(packet)
            sound.encode((done + shown + 1) / splice.fps)
        done += count
    sound.finish()


def _packets(clip: Path, header: bytes, fps: Fraction) -> Iterator[av.Packet]:
    """Yield a clip's packets, with `pts` counted in display order and `dts` in decoding order."""
    with av.open(f"file:{clip}") as container:
        stream = container.streams.video[0]
        if bytes(stream.codec_context.extradata or b"") != header:
            raise ValueError(f"{clip}: coded unlike the first clip")
        order = 0
        for packet in container.demux(stream):
            if packet.pts is None or packet.time_base is None:
                continue
            packet.pts, packet.dts = round(packet.pts * packet.time_base * fps), order
            order += 1
            yield packet


def _chapter(number: int, mark: Mark, fps: Fraction) -> av.container.core.Chapter:  # type: ignore[name-defined]
    return {
        "id": number,
        "start": mark.start,
        "end": mark.end,
        "time_base": 1 / fps,
        "metadata": {"title": mark.title},
    }
