"""Open a sound file and decode it once, from its first frame to its last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError

from talkinghead.errors import AudioError
from talkinghead.media.container import find_sound, find_video, is_playlist, open_container
from talkinghead.media.files import require_file
from talkinghead.media.sound_frames import mixed_down, readable_by_numpy, without_gaps

WANTED = "give a wav, mp3, flac, ogg or m4a file, or a video with sound"
"""What to do, in messages about files that are no sound."""

_RATES = range(1_000, 4_000_001)
"""Accepted sample rates."""


@contextmanager
def open_sound(file: Path) -> Iterator[tuple[InputContainer, AudioStream]]:
    """Open a file, and find its first sound track.

    Raises:
        InputNotFoundError: There is no such file.
        AudioError: It is a folder, or no sound.
    """
    require_file(file, AudioError)
    try:
        container = open_container(file)
    except (FFmpegError, OSError) as error:
        found = "a list of other files, not a sound" if is_playlist(file) else "not a sound that can be read"
        raise AudioError(f"{file}: {found}; {WANTED}") from error
    with container:
        stream = find_sound(container)
        if stream is None:
            found = "a video without sound" if find_video(container) else "not a sound that can be read"
            raise AudioError(f"{file}: {found}; {WANTED}")
        yield container, stream


def decode_sound(file: Path) -> Iterator[av.AudioFrame]:
    """Open a file and yield the decoded frames of its first sound track, as `decode_track` does.

    Raises:
        InputNotFoundError: There is no such file.
        AudioError: It is a folder, no sound, or damaged.
    """
    with open_sound(file) as (container, track):
        yield from decode_track(file, container, track)


def decode_track(file: Path, container: InputContainer, track: AudioStream) -> Iterator[av.AudioFrame]:
    """Yield the decoded frames of a sound track, with at most eight channels and with silence in gaps.

    Args:
        file: Its name in messages.
        container: The opened file.
        track: Its sound track.

    Raises:
        AudioError: It is damaged.
    """
    frames = map(readable_by_numpy, _frames(file, container, track))
    yield from without_gaps(map(mixed_down, frames))


def _frames(file: Path, container: InputContainer, stream: AudioStream) -> Iterator[av.AudioFrame]:
    """Decode a stream and skip damaged packets, as players do."""
    for packet in _packets(file, container, stream):
        try:
            frames = packet.decode()
        except FFmpegError:
            continue
        for frame in frames:
            if frame.sample_rate not in _RATES:
                raise AudioError(
                    f"{file}: has {frame.sample_rate} samples a second, not {_RATES.start} to {_RATES.stop - 1}; "
                    "export it again at 48000"
                )
            yield frame  # type: ignore[misc]


def _packets(file: Path, container: InputContainer, stream: AudioStream) -> Iterator[av.Packet]:
    try:
        yield from container.demux(stream)
    except FFmpegError as error:
        raise AudioError(f"{file}: the sound is damaged ({error.strerror}); export it again") from error
