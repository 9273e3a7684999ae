"""Frames of an avatar at any frame rate: scaled motion, and exactly the sound that belongs to each frame."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import count

import numpy as np

from liveportrait import SpeechMotion
from talkinghead.driver.reference import Reference, apply_reference
from talkinghead.driver.resample import retime, scale_motion
from talkinghead.options import MotionOptions
from talkinghead.realtime.turns import LiveFrame, Mark, Turns


def styled(
    speech_motion: Iterable[SpeechMotion],
    options: MotionOptions,
    num_mouth: int,
    fps: Fraction,
    reference: Reference | None,
) -> Iterator[SpeechMotion]:
    """Apply the user's options to live motion, as soon as it is known.

    Args:
        speech_motion: The motion at 25 fps, in parts.
        options: How the portrait moves.
        num_mouth: The number of expression coefficients that move the mouth.
        fps: Frames per second of the result.
        reference: A clip whose head motion, blinks and size of mouth movements are used, or None.
    """
    if reference is not None:
        speech_motion = apply_reference(speech_motion, reference, num_mouth)
    return retime(scale_motion(speech_motion, options, num_mouth), fps, None)


def live_frames(
    turns: Turns, rate: int, options: MotionOptions, num_mouth: int, fps: Fraction, reference: Reference | None
) -> Iterator[LiveFrame]:
    """Yield frames endlessly, each computed when it is asked for.

    Args:
        turns: What the avatar says.
        rate: Samples per second; frame n has the samples from ⌊n rate / fps⌋ to ⌊(n + 1) rate / fps⌋.
        options: As in `styled`.
        num_mouth: As in `styled`.
        fps: As in `styled`.
        reference: As in `styled`.
    """
    sound, begun = np.zeros(0, np.int16), 0  # of what has been taken from `turns`, and the number of its first sample
    marks: deque[tuple[int, Mark]] = deque()  # with the number of the sample where they belong
    turn, spoken_until = 0, -1  # the turn that has spoken last, and its last sample

    def taken() -> Iterator[SpeechMotion]:
        nonlocal sound, turn, spoken_until
        while True:
            frame = turns.next()
            first, sound = begun + len(sound), np.concatenate([sound, frame.sound])
            last = begun + len(sound) - 1
            marks.extend((last if mark.kind == "turn_ended" else first, mark) for mark in frame.marks)
            if frame.turn is not None:
                turn, spoken_until = frame.turn, last
            yield frame.motion

    parts = styled(taken(), options, num_mouth, fps, reference)
    ready: deque[SpeechMotion] = deque()
    for number in count():
        end = math.floor((number + 1) * rate / fps)
        while not ready or begun + len(sound) < end:
            part = next(parts)
            ready.extend(part[row] for row in range(len(part)))
        here = []
        while marks and marks[0][0] < end:
            here.append(marks.popleft()[1])
        spoken = turn if spoken_until >= begun else None
        frame = LiveFrame(ready.popleft(), sound[: end - begun], tuple(here), spoken)
        sound, begun = sound[end - begun :], end
        yield frame
