"""Read and write video frame by frame."""

from __future__ import annotations

import math
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from liveportrait.writing import create_beside, put_in_place
from talkinghead.errors import VideoError
from talkinghead.media.audio import Sound, probe_sound
from talkinghead.media.colour import shown_size, to_picture
from talkinghead.media.container import (
    LONGEST_GAP,
    MAX_FRAME_PIXELS,
    find_sound,
    find_video,
    is_playlist,
    open_container,
)
from talkinghead.media.copying import CopyPlan
from talkinghead.media.copying_encoder import CopyingEncoder
from talkinghead.media.encode import VideoEncoder
from talkinghead.media.files import output_error, require_file
from talkinghead.media.formats import MP4, Format
from talkinghead.media.image import Picture, is_still, read_image
from talkinghead.media.picture_formats import PICTURE_ENDINGS, WANTED, is_animation
from talkinghead.media.video_file import VideoFile
from talkinghead.provenance.manifest import open_signer
from talkinghead.provenance.marks import Marks

_QUEUED = 4
"""Largest number of pictures that wait for the encoder; in 8K each takes 100 MB."""

_INDEXED = ("mov", "matroska")
"""Names of the formats in which a time can be looked up."""

_KINDS = "an mp4, mov, webm or mkv"


class VideoWriter:
    """Writes a video picture by picture; the file appears under its name when it is complete.

    It is a context manager, which removes the partial file after an error or Ctrl-C.
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
        marks: Marks | None = None,
        plan: CopyPlan | None = None,
    ) -> None:
        """Open a partial file beside the output.

        Args:
            file: The output, checked with `files.check_output`.
            fps: Frames per second.
            size: (height, width) of the pictures.
            sound: The sound, or None.
            crf: Quality, 0 to 51, lower is better.
            kind: The format.
            overwrite: Whether an existing file may be replaced.
            marks: How the file is marked; None for parts of a video that are not shown alone.
            plan: What is copied from the file that the video is made from; None if every picture is encoded.

        Raises:
            OutputError: The file cannot be written.
            PortraitError: It cannot be signed.
        """
        self._file, self._overwrite = file, overwrite
        self._signer = open_signer(marks, file.suffix)
        try:
            self._partial = create_beside(file)
            try:
                if plan:
                    self._encoder = CopyingEncoder(self._partial, plan, sound, crf, marks)
                else:
                    self._encoder = VideoEncoder(self._partial, fps, size, sound, crf, kind, marks)
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
        """Add a picture, shape (H, W, 3), which must not change afterwards.

        Raises:
            OutputError: The file cannot be written, for example because the disk is full.
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
        """Encode pictures from the queue; after a failure drop them, so that the writing thread never blocks."""
        while (picture := self._queue.get()) is not None:
            if self._failure is None:
                self._attempt(self._encoder.encode, picture)
        if self._failure is None:
            self._attempt(self._finish)

    def _finish(self) -> None:
        self._encoder.finish()
        if self._signer:
            self._signer.sign(self._partial, self._file)
        put_in_place(self._partial, self._file, replace=self._overwrite)

    def _attempt(self, step: Callable[..., None], *arguments: Picture) -> None:
        """Run a step and keep its error, which is raised in the writing thread."""
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
        """Stop the encoder and remove the partial file, which no longer exists after success."""
        if self._worker.is_alive():
            self._failure = self._failure or InterruptedError()
            self._queue.put(None)
            self._worker.join()
        with suppress(OSError):  # open files cannot be removed on some systems
            self._partial.unlink()
        with suppress(OSError):
            self._encoder.close()
        with suppress(OSError):
            self._partial.unlink()


@dataclass(frozen=True)
class VideoFrame:
    """A decoded frame.

    Attributes:
        picture: BT.709 RGB, shape (H, W, 3), rotated upright, with square pixels.
        seconds: Its time.
    """

    picture: Picture
    seconds: Fraction


def probe_video(path: str | os.PathLike[str]) -> VideoFile:
    """Read a video's headers and first frame.

    Raises:
        InputNotFoundError: The file does not exist.
        VideoError: It is not a video, or has no frames.
    """
    file = Path(path)
    first = next(read_frames(file))
    with _open(file) as (container, stream):
        seconds = Fraction(container.duration or 0, av.time_base)
        if stream.duration and stream.time_base:
            seconds = stream.duration * stream.time_base
        fps = usual_rate(stream)
        has_sound = find_sound(container) is not None
        # A variable rate has fewer frames than the constant rate that it is converted to.
        count = max(stream.frames, round(seconds * fps), 1)
    height, width = first.picture.shape[:2]
    return VideoFile(file, fps, (height, width), count, has_sound, first.seconds)


def probe_placed_sound(path: str | os.PathLike[str]) -> Sound:
    """Read a sound; that of a video keeps its time relative to the first picture.

    Raises:
        InputNotFoundError: There is no such file.
        AudioError: It is a folder, no sound, or too short.
    """
    sound = probe_sound(path)
    if not sound.has_pictures:
        return sound
    try:
        return sound.starting_at(next(read_frames(path)).seconds)
    except VideoError:  # none of its pictures can be decoded
        return sound


def read_picture_or_video(path: str | os.PathLike[str]) -> Picture | VideoFile:
    """Read a picture, or open a video; animated pictures are videos.

    Raises:
        InputNotFoundError: The file does not exist.
        ImageError: It is a picture that cannot be read.
        VideoError: It is neither a picture nor a video that can be read.
    """
    file = require_file(path, VideoError)
    if is_still(file):
        return read_image(file)
    try:
        return probe_video(file)
    except VideoError as error:
        if file.suffix.lower() in PICTURE_ENDINGS:
            read_image(file)  # says what is wrong with what is called a picture
        if isinstance(error, _NoVideoError):
            raise VideoError(f"{file}: neither a picture nor a video that can be read; {WANTED}, or {_KINDS}") from None
        raise


def first_picture(shown: Picture | VideoFile) -> Picture:
    """Return a picture itself, or the first frame of a video."""
    return next(read_frames(shown.file)).picture if isinstance(shown, VideoFile) else shown


def read_frames(path: str | os.PathLike[str], *, since: Fraction | None = None) -> Iterator[VideoFrame]:
    """Decode a video frame by frame and skip damaged packets, as players do.

    Args:
        path: The file.
        since: Time from which frames are wanted, by the file's clock. Frames before it come too: those since the key
            frame before, or all of them if the file's format has no reliable index.

    Raises:
        InputNotFoundError: The file does not exist.
        VideoError: It is not a video, has no frame that can be decoded, or its times are damaged.
    """
    file = Path(path)
    count = 0
    try:
        with _open(file) as (container, stream):
            if since is not None and container.format.name.startswith(_INDEXED):
                container.seek(math.floor(since / (stream.time_base or 1)), stream=stream)
            for frame in decode_frames(container, stream, str(file)):
                count += 1
                yield frame
    except FFmpegError as error:
        if not count:
            raise VideoError(f"{file}: not a video that can be read ({error.strerror}); convert it to mp4") from error
    if not count:
        raise VideoError(
            f"{file}: has no frame that can be decoded (of at most {MAX_FRAME_PIXELS // 10**6} megapixels); "
            "export it again"
        )


def decode_frames(container: InputContainer, stream: VideoStream, name: str) -> Iterator[VideoFrame]:
    """Decode a video stream of an open file and skip damaged packets.

    All frames have the size of the first one, and their times never decrease.

    Args:
        container: The file.
        stream: Its video stream.
        name: Its name in messages.

    Raises:
        VideoError: Its frames are too large, or so far apart that its times must be damaged.
        FFmpegError: Nothing more can be read.
    """
    _check_size(stream, name)
    stream.thread_type = "AUTO"
    size: tuple[int, int] | None = None
    for frame, seconds in _timed(_decoded(container, stream), 1 / usual_rate(stream), name):
        size = size or shown_size(frame, stream.sample_aspect_ratio)
        picture = np.rot90(to_picture(frame, size), round(frame.rotation / 90))
        yield VideoFrame(np.ascontiguousarray(picture), seconds)


def _timed(frames: Iterable[av.VideoFrame], step: Fraction, name: str) -> Iterator[tuple[av.VideoFrame, Fraction]]:
    """Yield frames with their times; frames without a time follow the previous one after `step` seconds."""
    last: Fraction | None = None
    shift = Fraction(0)
    for frame in frames:
        due = Fraction(0) if last is None else last + step
        timed = frame.pts is not None and frame.time_base is not None
        seconds = frame.pts * frame.time_base + shift if timed else due  # type: ignore[operator]
        if last is not None and seconds < last:  # joined streams: this one starts at zero again
            shift, seconds = shift + due - seconds, due
        if last is not None and seconds - last > LONGEST_GAP:
            raise VideoError(
                f"{name}: two frames are {float(seconds - last):.0f} s apart: its times are damaged; export it again"
            )
        last = seconds
        yield frame, seconds


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    for packet in container.demux(stream):
        try:
            yield from packet.decode()  # type: ignore[misc]
        except FFmpegError:
            continue


def _check_size(stream: VideoStream, name: str) -> None:
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > MAX_FRAME_PIXELS:
        raise VideoError(
            f"{name}: frames of {width} × {height} pixels are too large: at most {MAX_FRAME_PIXELS // 10**6} "
            "megapixels; make it smaller"
        )


def usual_rate(stream: VideoStream) -> Fraction:
    """Return frames per second, 1 to 120; for a variable rate FFmpeg's guess, the grid that the times lie on."""
    rates = (stream.guessed_rate, stream.average_rate, Fraction(25))
    return Fraction(next(rate for rate in rates if rate and 1 <= rate <= 120))


class _NoVideoError(VideoError):
    """A file is no video at all."""


def _unreadable(file: Path) -> VideoError:
    """Return an error about a file that cannot be opened as a video."""
    if is_animation(file):
        return VideoError(
            f"{file}: an animation, which counts as a video, but not one that can be decoded; convert it to mp4, or "
            "save its first picture alone"
        )
    if is_playlist(file):
        return VideoError(f"{file}: a list of other files, not a video; give {_KINDS}")
    return _NoVideoError(f"{file}: not a video that can be read; give {_KINDS}")


@contextmanager
def _open(file: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    require_file(file, VideoError)
    try:
        container = open_container(file)
    except (FFmpegError, OSError) as error:
        raise _unreadable(file) from error
    with container:
        stream = find_video(container)
        if stream is None:
            found = "not a video that can be read" if container.streams.video else "has no picture"
            raise _NoVideoError(f"{file}: {found}; give {_KINDS}")
        yield container, stream
