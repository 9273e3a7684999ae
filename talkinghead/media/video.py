"""Write and read video as streams: pictures are never collected."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError

from liveportrait.writing import create_beside, put_in_place
from talkinghead.errors import VideoError
from talkinghead.media.audio import Sound, is_video
from talkinghead.media.encode import Encoder
from talkinghead.media.files import output_error, require_file
from talkinghead.media.formats import MP4, Format
from talkinghead.media.image import Picture, is_still, read_image
from talkinghead.media.picture_formats import is_animation

_QUEUED = 4
"""Pictures that may wait for the encoder; those of 8k take 100 MB each."""


class VideoWriter:
    """Writes a video while its pictures are made; the file appears under its name when it is complete.

    A context manager: if it is left by an error or by Ctrl-C, nothing is left behind.
    """

    def __init__(
        self,
        file: Path,
        fps: Fraction,
        size: tuple[int, int],
        sound: Sound | None = None,
        crf: int = 18,
        kind: Format = MP4,
        *,
        overwrite: bool = False,
    ) -> None:
        """Open a file beside the one that is to be.

        Args:
            file: Where the video shall be, checked with `files.check_output`.
            fps: Pictures a second.
            size: (height, width) of the pictures.
            sound: What to hear beside them.
            crf: Quality, 0 to 51, lower is better.
            kind: How it is coded.
            overwrite: Whether another file there may be replaced.

        Raises:
            OutputError: It cannot be written there.
        """
        self._file, self._overwrite = file, overwrite
        try:
            self._partial = create_beside(file)
            try:
                self._encoder = Encoder(self._partial, fps, size, sound, crf, kind)
            except BaseException:
                self._partial.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise output_error(file, error) from error
        self._failure: Exception | None = None
        self._queue: queue.Queue[Picture | None] = queue.Queue(_QUEUED)
        self._worker = threading.Thread(target=self._work, name="video encoder", daemon=True)

    def __enter__(self) -> VideoWriter:
        self._worker.start()
        return self

    def write(self, picture: Picture) -> None:
        """Add a picture, shape (H, W, 3), which may not change afterwards.

        Raises:
            OutputError: The disk is full, or gone.
        """
        self._raise_failure()
        self._queue.put(picture)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._queue.put(None)
                self._worker.join()
                self._raise_failure()
        finally:
            self._discard()

    def _work(self) -> None:
        """Encode what comes; after a failure take it and drop it, so that nobody waits for room in the queue."""
        while (picture := self._queue.get()) is not None:
            if self._failure is None:
                self._attempt(self._encoder.encode, picture)
        if self._failure is None:
            self._attempt(self._finish)

    def _finish(self) -> None:
        self._encoder.finish()
        put_in_place(self._partial, self._file, replace=self._overwrite)

    def _attempt(self, step: Callable[..., None], *arguments: Picture) -> None:
        """Take a step; what goes wrong is raised in the thread that writes."""
        try:
            step(*arguments)
        except OSError as error:
            self._failure = output_error(self._file, error)
        except Exception as error:
            self._failure = error

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _discard(self) -> None:
        """Stop the encoder and remove what it wrote; after a success there is nothing to do."""
        if self._worker.is_alive():
            self._failure = self._failure or InterruptedError()
            self._queue.put(None)
            self._worker.join()
        with suppress(OSError):  # not while it is open, on some systems
            self._partial.unlink()
        with suppress(OSError):
            self._encoder.close()
        with suppress(OSError):
            self._partial.unlink()


@dataclass(frozen=True)
class VideoFrame:
    """A decoded frame.

    Attributes:
        picture: RGB, shape (H, W, 3), turned as the file says.
        seconds: When it is shown.
    """

    picture: Picture
    seconds: Fraction


@dataclass(frozen=True)
class VideoFile:
    """What a video file says about itself; its own count of frames is a guess until all are decoded.

    Attributes:
        file: Where it lies.
        fps: Frames a second; the usual ones, where they vary.
        size: (height, width) of the frames as they are shown.
        num_frames: How many there may be.
        has_sound: Whether there is a sound track.
    """

    file: Path
    fps: Fraction
    size: tuple[int, int]
    num_frames: int
    has_sound: bool


def probe_video(path: str | os.PathLike[str]) -> VideoFile:
    """Look at a video's headers and its first frame.

    Raises:
        InputNotFoundError: There is no such file.
        VideoError: It is a folder, no video, or has no frame.
    """
    file = require_file(path, VideoError)
    first = next(read_frames(file)).picture
    with av.open(f"file:{file}") as container:
        stream = container.streams.video[0]
        seconds = Fraction(container.duration or 0, av.time_base)
        if stream.duration and stream.time_base:
            seconds = stream.duration * stream.time_base
        # Where frames are shown for unequal times, the guessed rate is the grid that they lie on.
        rates = (stream.guessed_rate, stream.average_rate, Fraction(25))
        fps = next(rate for rate in rates if rate and 1 <= rate <= 120)
        has_sound = bool(container.streams.audio)
        # Frames of a variable rate are fewer than it takes to show them at a constant one.
        count = max(stream.frames, round(seconds * fps), 1)
    height, width = first.shape[:2]
    return VideoFile(file, Fraction(fps), (height, width), count, has_sound)


def read_picture_or_video(path: str | os.PathLike[str]) -> Picture | VideoFile:
    """Read a picture, or look at a video; animated pictures are videos.

    Raises:
        InputNotFoundError: There is no such file.
        ImageError: It is a picture that cannot be read.
        VideoError: It is no picture, and no video that can be read.
    """
    if is_still(path):
        return read_image(path)
    try:
        return probe_video(path)
    except VideoError as error:
        if not is_animation(Path(path)):
            raise
        raise VideoError(
            f"{path}: an animation, which counts as a video, but not one that can be decoded; convert it to mp4, or"
            " save its first picture alone"
        ) from error


def read_frames(path: str | os.PathLike[str]) -> Iterator[VideoFrame]:
    """Decode a video frame by frame; what is damaged is left out, as players do.

    Raises:
        InputNotFoundError: There is no such file.
        VideoError: It is a folder, no video, or without a frame that can be decoded.
    """
    file = require_file(path, VideoError)
    count = 0
    try:
        with av.open(f"file:{file}") as container:
            if not container.streams.video:
                raise VideoError(f"{file}: has no picture; give a video")
            if not is_video(container):
                raise VideoError(f"{file}: not a video that can be read; give an mp4, mov, webm or mkv")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            step = 1 / (stream.guessed_rate or stream.average_rate or Fraction(25))
            for frame in decode_frames(container):
                picture = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
                timed = frame.pts is not None and frame.time_base is not None
                seconds = frame.pts * frame.time_base if timed else count * step  # type: ignore[operator]
                count += 1
                yield VideoFrame(np.ascontiguousarray(picture, np.uint8), seconds)
    except FFmpegError as error:
        if not count:
            raise VideoError(f"{file}: not a video that can be read ({error.strerror}); convert it to mp4") from error
    if not count:
        raise VideoError(f"{file}: has no frame that can be decoded; export it again")


def decode_frames(container: InputContainer) -> Iterator[av.VideoFrame]:
    """Decode the first video of an open file; a packet that is damaged is left out."""
    for packet in container.demux(video=0):
        try:
            yield from packet.decode()  # type: ignore[misc]
        except FFmpegError:
            continue
