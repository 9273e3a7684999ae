"""Select and resample video frames by their times."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction

from talkinghead.inputs.option_values import Trim
from talkinghead.media.video import VideoFrame, read_frames


def trimmed(path: str | os.PathLike[str], trim: Trim) -> Iterator[VideoFrame]:
    """Yield the frames of a part of a video, with times relative to the video's first frame."""
    first: Fraction | None = None
    for frame in read_frames(path):
        first = frame.seconds if first is None else first
        seconds = frame.seconds - first
        if trim.end is not None and seconds >= trim.end:
            return
        if seconds >= trim.start:
            yield replace(frame, seconds=seconds)


def steady(frames: Iterable[VideoFrame], fps: Fraction, last_seconds: Fraction | None = None) -> Iterator[VideoFrame]:
    """Yield frames at a constant rate, repeating or dropping frames by their times.

    Args:
        frames: The frames.
        fps: Frames per second.
        last_seconds: How long the last frame lasts; None for one frame.
    """
    last: VideoFrame | None = None
    first, done = Fraction(0), 0
    for frame in frames:
        if last is None:
            first = frame.seconds
        due = max(round((frame.seconds - first) * fps), 0)
        for _ in range(due - done if last else 0):
            yield last  # type: ignore[misc]
            done += 1
        last = frame
    if last is not None:
        end = done + 1 if last_seconds is None else round((last.seconds - first + last_seconds) * fps)
        for _ in range(max(end - done, int(not done))):
            yield last


def positions(times: list[Fraction], seen: list[int], fps: Fraction) -> list[Fraction]:
    """Return the position of every output frame among the frames that show a face.

    Frames are placed by their times, so a variable frame rate becomes constant and nothing drifts. Rounding errors in
    the times of a constant rate are removed.

    Args:
        times: Times of all frames in seconds, ascending.
        seen: Indices of the frames that show a face.
        fps: Frames per second of the output.
    """
    begun = times[0]
    shown = [times[n] - begun for n in seen]
    if all(abs((time - begun) * fps - n) < Fraction(1, 2) for n, time in enumerate(times)):
        shown, count = [n / fps for n in seen], len(times)
    else:
        usual = (times[-1] - begun) / max(len(times) - 1, 1)
        count = max(round((times[-1] - begun + usual) * fps), 1)
    found, n = [], 0
    for frame in range(count):
        time = frame / fps
        while n + 1 < len(shown) and shown[n + 1] <= time:
            n += 1
        after = min(n + 1, len(shown) - 1)
        length = shown[after] - shown[n]
        share = (time - shown[n]) / length if length else Fraction(0)
        found.append(n + min(max(share, Fraction(0)), Fraction(1)))
    return found
