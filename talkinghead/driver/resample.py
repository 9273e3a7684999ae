"""Scale driving motion, convert it to the video's frame rate and cut it into batches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from fractions import Fraction
from typing import TypeVar

import torch
from torch import Tensor

from audio2motion import FRAME_RATE
from liveportrait import Motion, SpeechMotion
from liveportrait.driving_rules import scaled_turn
from liveportrait.keypoints import euler_degrees, rotation_matrix
from talkinghead.driver.sliders import SliderTrack
from talkinghead.options import MotionOptions

Frames = TypeVar("Frames", SpeechMotion, Motion, SliderTrack)
Timed = TypeVar("Timed", SpeechMotion, Motion)


def scale_motion(
    speech_motion: Iterable[SpeechMotion], options: MotionOptions, num_mouth: int
) -> Iterator[SpeechMotion]:
    """Make generated motion stronger or weaker.

    Args:
        speech_motion: The motion, in parts.
        options: The strengths.
        num_mouth: The number of expression coefficients that move the mouth; they come first.
    """
    head = options.head
    for part in speech_motion:
        mouth, rest = part.expression[:, :num_mouth], part.expression[:, num_mouth:]
        yield replace(
            part,
            expression=torch.cat([mouth * options.lip_strength, rest * options.face], 1),
            lip_ratio=part.lip_ratio * options.lip_strength,
            eye_openness=part.eye_openness if options.eyes else torch.ones_like(part.eye_openness),
            gaze_deg=torch.zeros_like(part.gaze_deg) if options.lips_only else part.gaze_deg,
            rotation=scaled_turn(part.rotation, head),
            translation=part.translation * head,
        )


def retime(parts: Iterable[Timed], fps: Fraction, num_frames: int | None) -> Iterator[Timed]:
    """Convert motion to another frame rate; each frame is sampled at its middle.

    Args:
        parts: The motion at 25 fps, in parts.
        fps: Frames per second of the result.
        num_frames: Number of frames of the result, beyond the end of the motion its last frame; None for its length.

    Yields:
        Consecutive parts, each as soon as it is known.
    """
    step = FRAME_RATE / fps
    kept: Timed | None = None
    first, done = 0, 0  # index of the first frame in `kept`, and number of frames that have been yielded
    for part in parts:
        kept = part if kept is None else join([kept, part])
        last = first + len(kept) - 1
        ready = math.floor((last + Fraction(1, 2)) / step - Fraction(1, 2)) + 1
        ready = ready if num_frames is None else min(ready, num_frames)
        if ready > done:
            yield interpolate(kept, [_position(n, step) - first for n in range(done, ready)])
            done = ready
        passed = min(math.floor(_position(done, step)) - first, len(kept) - 1)
        kept, first = _after(kept, passed), first + passed
    if kept is None:
        return
    end = math.ceil((first + len(kept)) / step) if num_frames is None else num_frames
    for n in range(done, end):  # at most one frame, unless the motion is shorter than expected
        yield interpolate(kept, [_position(n, step) - first])


def in_batches(parts: Iterable[Frames], size: int, first: int | None = None) -> Iterator[Frames]:
    """Regroup parts into batches of `size` frames, the first one of `first` if given; the last one may be shorter."""
    kept: Frames | None = None
    wanted = first or size
    for part in parts:
        kept = part if kept is None else join([kept, part])
        begin = 0
        for end in range(wanted, len(kept) + 1, size):
            yield kept[begin:end]
            begin, wanted = end, size
        kept = kept[begin:]
    if kept is not None and len(kept):
        yield kept


def _position(frame: int, step: Fraction) -> Fraction:
    """Return the position of a frame's middle, counted in frames that are `step` times as short."""
    return max(Fraction(0), (frame + Fraction(1, 2)) * step - Fraction(1, 2))


def interpolate(frames: Timed, positions: list[Fraction]) -> Timed:
    """Interpolate motion at fractional frame numbers; beyond the end, the last frame is repeated."""
    end = len(frames) - 1
    before = torch.tensor([min(math.floor(position), end) for position in positions])
    share = torch.tensor([float(position % 1) for position in positions], dtype=torch.float32)
    a = frames[before]
    if not share.any():
        return a
    return blend(a, frames[(before + 1).clamp(max=end)], share)


def blend(a: Timed, b: Timed, share: Tensor) -> Timed:
    """Blend the frames of two motions, with `share` (T,) of the second."""

    def between(x: Tensor | None, y: Tensor | None) -> Tensor | None:
        return None if x is None or y is None else torch.lerp(x, y, share.view(-1, *[1] * (x.ndim - 1)))

    mixed = {field.name: between(getattr(a, field.name), getattr(b, field.name)) for field in fields(a)}
    angles = zip(euler_degrees(a.rotation), euler_degrees(b.rotation), strict=True)
    mixed["rotation"] = rotation_matrix(*(torch.lerp(x, y, share) for x, y in angles))
    return replace(a, **mixed)


def join(parts: list[Frames]) -> Frames:
    """Join parts along the frame axis."""
    values = {field.name: [getattr(part, field.name) for part in parts] for field in fields(parts[0])}
    return replace(parts[0], **{name: torch.cat(each) for name, each in values.items() if each[0] is not None})


def _after(frames: Frames, count: int) -> Frames:
    return frames[count:]
