"""Read live frames from a camera, from a file in its place, or from a video on standard input."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from typing import BinaryIO, NamedTuple

import cv2
import numpy as np
from av.error import FFmpegError

from liveportrait.numerals import read_whole
from talkinghead.errors import OptionError, VideoError
from talkinghead.inputs.option_values import Trim
from talkinghead.media.container import find_video, open_container
from talkinghead.media.image import Picture
from talkinghead.media.timing import trimmed
from talkinghead.media.video import VideoFrame, decode_frames, probe_video, usual_rate
from talkinghead.options import LiveOptions

_WHOLE = Trim(Fraction(0), None)

_MOST_CAMERAS = 1000

_PIPE, _WANTED = "standard input", "send matroska or mpegts"
_NO_VIDEO = f"{_PIPE}: not a video that can be read; {_WANTED}"

_PATIENCE = 10.0
"""Seconds without a frame after which a camera counts as disconnected."""


class CameraFeed(NamedTuple):
    """Live frames.

    Attributes:
        frames: The frames with their times, in seconds since the first one.
        fps: Frames per second, as far as known.
        is_live: Whether frames that are not read in time are dropped.
    """

    frames: Iterable[VideoFrame]
    fps: Fraction
    is_live: bool


@contextmanager
def open_feed(options: LiveOptions) -> Iterator[CameraFeed]:
    """Open a camera, a file or standard input, and close it at the end.

    Raises:
        PortraitError: The input cannot be opened.
    """
    name = options.camera
    if name.isdigit():
        with _Camera(_number(name)) as camera:
            yield _mirrored(CameraFeed(camera.frames(), camera.fps, is_live=True), options)
    elif name == "-":
        yield _mirrored(_read_pipe(sys.stdin.buffer), options)
    else:
        yield _mirrored(CameraFeed(trimmed(name, _WHOLE), probe_video(name).fps, is_live=False), options)


def _number(name: str) -> int:
    try:
        return read_whole(name, "camera", 0, _MOST_CAMERAS)
    except ValueError as error:
        raise OptionError(f"{error}: give the number of a camera, a video file, or - for stdin") from None


def _mirrored(feed: CameraFeed, options: LiveOptions) -> CameraFeed:
    if not options.mirror:
        return feed
    turned = (replace(frame, picture=np.ascontiguousarray(frame.picture[:, ::-1])) for frame in feed.frames)
    return feed._replace(frames=turned)


def _read_pipe(pipe: BinaryIO) -> CameraFeed:
    """Decode a video from a pipe: mpegts, matroska or any other format that needs no seeking."""
    source = _Pipe(pipe)
    try:
        with source.interruptible():
            container = open_container(source)
    except (FFmpegError, OSError) as error:
        raise VideoError(_NO_VIDEO) from error
    stream = find_video(container)
    if stream is None:
        raise VideoError(_NO_VIDEO)

    def frames() -> Iterator[VideoFrame]:
        first: Fraction | None = None
        with container, source.interruptible():
            try:
                for frame in decode_frames(container, stream, _PIPE):
                    first = frame.seconds if first is None else first
                    yield replace(frame, seconds=frame.seconds - first)
            except FFmpegError as error:  # such as an mp4 whose index is at its end; after a frame the video ends here
                if first is None:
                    raise VideoError(_NO_VIDEO) from error
        if first is None:
            raise VideoError(f"{_PIPE}: has no frame that can be decoded; {_WANTED}")

    return CameraFeed(frames(), usual_rate(stream), is_live=True)


class _InterruptedReadError(Exception):
    pass


class _Pipe:
    """A pipe that FFmpeg reads; Ctrl-C ends the reading, which FFmpeg would otherwise take for the end of the video."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe, self._interrupted = pipe, False

    def read(self, size: int) -> bytes:
        """Read bytes; nothing after an interruption."""
        try:
            return b"" if self._interrupted else self._pipe.read(size)
        except KeyboardInterrupt:
            self._interrupted = True
            raise _InterruptedReadError from None  # PyAV hands on every Exception, but no KeyboardInterrupt

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Raise KeyboardInterrupt if a reading in this context is interrupted."""
        try:
            yield
        except _InterruptedReadError:
            raise KeyboardInterrupt from None


class _Camera:
    """Reads a camera in a separate thread and keeps only the newest frame, so that frames never queue up."""

    def __init__(self, number: int) -> None:
        self._name = f"camera {number}"
        cv2.setLogLevel(0)  # errors are reported below
        self._device = cv2.VideoCapture(number)
        if not self._device.isOpened():
            raise VideoError(f"{self._name} cannot be opened: give another number, a video file, or - for stdin")
        reported = self._device.get(cv2.CAP_PROP_FPS)
        self.fps = Fraction(reported).limit_denominator(1001) if 1 <= reported <= 120 else Fraction(30)
        self._newest: tuple[Picture, float] | None = None
        self._fresh, self._closed = threading.Condition(), False
        self._thread = threading.Thread(target=self._read, name=self._name, daemon=True)

    def __enter__(self) -> _Camera:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._thread.join()
        self._device.release()

    def frames(self) -> Iterator[VideoFrame]:
        """Yield the newest frame whenever there is a new one."""
        start: float | None = None
        while True:
            with self._fresh:
                if not self._fresh.wait_for(lambda: self._newest is not None or self._closed, _PATIENCE):
                    raise VideoError(f"{self._name} sends no pictures; is it used by another program?")
                if self._newest is None and start is None:
                    raise VideoError(
                        f"{self._name} sends no pictures; give another number, a video file, or - for stdin"
                    )
                if self._newest is None:
                    return
                (picture, taken), self._newest = self._newest, None
            start = taken if start is None else start
            rgb = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
            yield VideoFrame(rgb, Fraction(taken - start).limit_denominator(1000))  # type: ignore[arg-type]

    def _read(self) -> None:
        while not self._closed:
            success, picture = self._device.read()
            with self._fresh:
                if success:
                    self._newest = (picture, time.monotonic())  # type: ignore[assignment]
                else:
                    self._closed = True
                self._fresh.notify()
