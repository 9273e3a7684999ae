"""Play the frames of a video in any order in constant memory: forwards, to and fro, slower, or only one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction

from talkinghead.media.image import Picture
from talkinghead.media.video import VideoFile, VideoFrame, read_frames
from talkinghead.options import Loop

EASE_SECONDS = 0.4
"""Time before and after a turn in which playing slows down."""

_KEPT_BYTES = 160 * 2**20
"""Most memory for frames that are decoded to be played backwards."""

_MOST_KEPT = 250
"""Most frames that are decoded at a time to be played backwards."""


def play_order(length: int, count: int, loop: Loop, fps: Fraction, rate: Fraction, start: int = 0) -> list[int]:
    """Choose which frame of a video is shown when.

    Args:
        length: The number of frames of the video.
        count: The number of frames to show.
        loop: How to go on at the video's end; "stretch" plays it exactly once, however long that takes.
        fps: Frames per second to show.
        rate: Frames per second of the video.
        start: The number of frames that were shown before.

    Returns:
        The index of each frame, from 0 to length - 1.
    """
    end = length - 1
    if loop == "stretch":
        return [round(end * n / max(count - 1, 1)) for n in range(count)]
    passed = [float((start + n) * rate / fps) for n in range(count)]
    if loop != "pingpong" or not passed or passed[-1] <= end:
        return [min(int(at), end) for at in passed]
    ease = min(EASE_SECONDS * float(rate), end / 2)
    return [int(_to_and_fro(at, end, ease) + 0.5) for at in passed]


def _to_and_fro(passed: float, end: int, ease: float) -> float:
    """Return the place after playing for so many frames; near a turn, the distance to it shrinks smoothly to zero."""
    if not end:
        return 0.0
    turns = round(passed / end)
    distance = abs(passed - turns * end)
    if turns and distance < ease:
        distance *= distance / ease * (2 - distance / ease)
    return end - distance if turns % 2 else distance


def play(file: VideoFile, order: Iterable[int]) -> Iterator[Picture]:
    """Yield frames of a video by their indices at its constant frame rate.

    Runs forwards are decoded as they come; before a step backwards, the frames up to there are decoded in blocks that
    fit the memory.

    Args:
        file: The video.
        order: Indices of frames; beyond the end, the last frame is shown.
    """
    reader = _Reader(file)
    for n in order:
        yield reader.frame(n)


class _Reader:
    """Finds frames by their index; holds the last one, and a block of earlier ones while it goes backwards."""

    def __init__(self, file: VideoFile) -> None:
        self._file = file
        self._coming: Iterator[tuple[int, Picture]] = iter(())
        self._at, self._last = -1, None
        self._block: dict[int, Picture] = {}
        height, width = file.size
        self._most = min(max(_KEPT_BYTES // (3 * height * width), 1), _MOST_KEPT)

    def frame(self, index: int) -> Picture:
        if index in self._block:
            return self._block[index]
        if self._last is None or index < self._at:
            self._go_back(index)
        elif index > self._at:
            self._block = {}
        while self._at < index and (following := next(self._coming, None)) is not None:
            self._at, self._last = following
        assert self._last is not None  # a video has a frame
        return self._last

    def _go_back(self, index: int) -> None:
        """Decode a block of frames that ends with this one."""
        first = index if self._last is None else max(index - self._most + 1, 0)
        self._block, self._coming = {}, self._numbered_from(first)
        for n, picture in self._coming:
            self._at, self._last = n, picture
            self._block[n] = picture
            if n >= index:
                return

    def _numbered_from(self, first: int) -> Iterator[tuple[int, Picture]]:
        """Yield frames with their indices from `first` on."""
        since = self._file.begins + first / self._file.fps
        numbered = _numbered(read_frames(self._file.file, since=since), self._file) if first else iter(())
        n, frame = next(numbered, (first + 1, None))
        if n > first:  # the file was not opened at a time before, so read it from its beginning
            numbered = _numbered(read_frames(self._file.file), self._file)
        elif n == first and frame is not None:
            yield n, frame.picture
        yield from ((n, frame.picture) for n, frame in numbered if n >= first)


def _numbered(frames: Iterator[VideoFrame], file: VideoFile) -> Iterator[tuple[int, VideoFrame]]:
    """Number frames by their times, as `timing.steady` counts them; the end of the video repeats its last frame."""
    last: VideoFrame | None = None
    done = 0
    for frame in frames:
        due = max(round((frame.seconds - file.begins) * file.fps), 0)
        if last is None:
            done = due
        else:
            for n in range(done, due):
                yield n, last
            done = max(done, due)
        last = frame
    if last is not None:
        yield done, last


def frames_within(start: Fraction, end: Fraction | None, fps: Fraction, count: int) -> range:
    """Return the frames that begin within a part of a video of `count` frames, given in seconds."""
    first = min(math.ceil(start * fps), count)
    return range(first, count if end is None else max(min(math.ceil(end * fps), count), first))
