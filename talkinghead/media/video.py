"""Write and read video as streams: pictures are never collected."""

from __future__ import annotations

import os
import queue
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.error import FFmpegError

from talkinghead.errors import VideoError
from talkinghead.media.audio import Sound
from talkinghead.media.encode import Encoder
from talkinghead.media.files import output_error, require_file
from talkinghead.media.image import Picture

_QUEUED = 4
"""Pictures that may wait for the encoder; those of 8k take 100 MB each."""


class VideoWriter:
    """Writes an mp4 while its pictures are made; the file appears under its name when it is complete.

    A context manager: if it is left by an error or by Ctrl-C, nothing is left behind.
    """

    def __init__(
        self, file: Path, fps: Fraction, size: tuple[int, int], sound: Sound | None = None, crf: int = 18
    ) -> None:
        """Open a file beside the one that is to be.

        Args:
            file: Where the video shall be, checked with `files.check_output`.
            fps: Pictures a second.
            size: (height, width) of the pictures.
            sound: What to hear beside them.
            crf: Quality of x264, 0 to 51, lower is better.

        Raises:
            OutputError: It cannot be written there.
        """
        self._file = file
        self._partial = file.with_name(f".{file.stem}.{secrets.token_hex(4)}.part")
        try:
            self._encoder = Encoder(self._partial, fps, size, sound, crf)
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
        self._partial.replace(self._file)

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


def read_frames(path: str | os.PathLike[str]) -> Iterator[VideoFrame]:
    """Decode a video frame by frame.

    Raises:
        InputNotFoundError: There is no such file.
        VideoError: It is a folder, no video, or damaged.
    """
    file = require_file(path, VideoError)
    try:
        with av.open(f"file:{file}") as container:
            if not container.streams.video:
                raise VideoError(f"{file}: has no picture; give a video")
            for frame in container.decode(video=0):
                picture = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
                seconds = (frame.pts or 0) * (frame.time_base or Fraction(0))
                yield VideoFrame(np.ascontiguousarray(picture, np.uint8), seconds)
    except FFmpegError as error:
        raise VideoError(f"{file}: not a video that can be read ({error.strerror}); convert it to mp4") from error
