"""What drives a portrait, frame by frame: directed by the user, brought to the video's frame rate, cut into batches."""

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
from liveportrait.keypoints import euler_degrees, rotation_matrix
from talkinghead.driver.sliders import SliderTrack
from talkinghead.options import MotionOptions

Frames = TypeVar("Frames", SpeechMotion, Motion, SliderTrack)
Timed = TypeVar("Timed", SpeechMotion, Motion)


def scale_motion(
    speech_motion: Iterable[SpeechMotion], options: MotionOptions, num_mouth: int
) -> Iterator[SpeechMotion]:
    """Make a performance stronger or weaker.

    Args:
        speech_motion: Its parts.
        options: How strong.
        num_mouth: How many of the expression coefficients move the mouth; they come first.
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
            rotation=rotation_matrix(*(angle * head for angle in euler_degrees(part.rotation))),
            translation=part.translation * head,
        )


def retime(parts: Iterable[Timed], fps: Fraction, num_frames: int | None) -> Iterator[Timed]:
    """Bring a motion or performance to another frame rate: every frame shows what holds in its middle.

    Args:
        parts: Its parts, at 25 frames a second.
        fps: Frames a second to come out.
        num_frames: How many frames to come out; beyond its end it stays as it ended. None lets it end where it ends.

    Yields:
        Consecutive parts, each as soon as it is known.
    """
    step = FRAME_RATE / fps
    kept: Timed | None = None
    first, done = 0, 0  # number of the first frame that is kept, and of the first that is still to come out
    for part in parts:
        kept = part if kept is None else _join([kept, part])
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
    for n in range(done, end):  # less than a frame, unless the voice was cut short
        yield interpolate(kept, [_position(n, step) - first])


def in_batches(parts: Iterable[Frames], size: int) -> Iterator[Frames]:
    """Cut what drives anew, into parts of `size` frames, the last shorter."""
    kept: Frames | None = None
    for part in parts:
        kept = part if kept is None else _join([kept, part])
        whole = len(kept) // size * size
        yield from (kept[start : start + size] for start in range(0, whole, size))
        kept = kept[whole:]
    if kept is not None and len(kept):
        yield kept


def _position(frame: int, step: Fraction) -> Fraction:
    """Return where the middle of a frame lies among frames that are `step` times as short."""
    return max(Fraction(0), (frame + Fraction(1, 2)) * step - Fraction(1, 2))


def interpolate(frames: Timed, positions: list[Fraction]) -> Timed:
    """Interpolate a motion or performance at frame numbers; beyond the last frame it stays."""
    end = len(frames) - 1
    before = torch.tensor([min(math.floor(position), end) for position in positions])
    share = torch.tensor([float(position % 1) for position in positions], dtype=torch.float32)
    a = frames[before]
    if not share.any():
        return a
    b = frames[(before + 1).clamp(max=end)]

    def between(x: Tensor | None, y: Tensor | None) -> Tensor | None:
        return None if x is None or y is None else torch.lerp(x, y, share.view(-1, *[1] * (x.ndim - 1)))

    mixed = {field.name: between(getattr(a, field.name), getattr(b, field.name)) for field in fields(a)}
    angles = zip(euler_degrees(a.rotation), euler_degrees(b.rotation), strict=True)
    mixed["rotation"] = rotation_matrix(*(torch.lerp(x, y, share) for x, y in angles))
    return replace(a, **mixed)


def _after(frames: Frames, count: int) -> Frames:
    return frames[count:]


def _join(parts: list[Frames]) -> Frames:
    values = {field.name: [getattr(part, field.name) for part in parts] for field in fields(parts[0])}
    return replace(parts[0], **{name: torch.cat(each) for name, each in values.items() if each[0] is not None})
