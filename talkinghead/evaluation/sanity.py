"""Do the figures move when they should? Real clips are changed in known ways, and judged as if they were generated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, islice, repeat
from pathlib import Path

import cv2
import numpy as np

from talkinghead.evaluation.files import judge_pictures
from talkinghead.evaluation.judged import Judged
from talkinghead.evaluation.metrics import Picture
from talkinghead.evaluation.networks import Networks
from talkinghead.evaluation.speak import judge_speech, sound_of, watch
from talkinghead.media.video import read_frames

BLUR = 0.015
"""Deviation of the blur, in units of the picture's shorter side."""

SHIFT = 0.03
"""How far the picture is shifted, in units of its width."""

LATE = 4
"""By how many frames speech is delayed."""

Change = Callable[[Picture, Picture, Picture], Picture]

CHANGES: dict[str, Change] = {
    "the same": lambda real, first, other: real,
    "blurred": lambda real, first, other: blurred(real),
    "shifted": lambda real, first, other: shifted(real),
    "first frame": lambda real, first, other: first,
    "another person": lambda real, first, other: other,
}
"""What is shown instead of the real frame, given that, the clip's first frame, and the frame of another person."""


def blurred(picture: Picture) -> Picture:
    """Blur a picture."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), BLUR * min(picture.shape[:2])), np.uint8)


def shifted(picture: Picture) -> Picture:
    """Shift a picture to the right; its left edge is repeated."""
    matrix = np.array([[1, 0, SHIFT * picture.shape[1]], [0, 1, 0]], np.float32)
    size = picture.shape[1::-1]
    return np.asarray(cv2.warpAffine(picture, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def judge_changes(clip: Path, other: Path, networks: Networks, every: int, most: int) -> dict[str, Judged]:
    """Judge a clip against itself after each of `CHANGES`.

    Args:
        clip: A clip.
        other: A clip of somebody else.
        networks: What looks at the pictures.
        every: One of so many frames is judged.
        most: Number of frames that are judged.
    """
    return {
        name: judge_pictures(_pairs(change, clip, other, every, most), networks) for name, change in CHANGES.items()
    }


def judge_speech_changes(clip: Path, other: Path, networks: Networks) -> dict[str, Judged]:
    """Judge the speech of a clip against itself after each of `CHANGES`, and `LATE` frames late.

    Args:
        clip: A clip at 25 frames a second; nothing is judged if it has no sound.
        other: A clip of somebody else.
        networks: What recognises faces.
    """
    samples = sound_of(clip)
    if samples is None:
        return {}
    truth = watch(_pictures(clip), networks)
    changed: dict[str, Iterator[Picture]] = {
        name: (shown for shown, _ in _pairs(change, clip, other, 1, len(truth.points)))
        for name, change in CHANGES.items()
    }
    changed["late"] = chain(repeat(next(_pictures(clip)), LATE), _pictures(clip))
    judged = {name: judge_speech(watch(pictures, networks), truth, samples) for name, pictures in changed.items()}
    return {name: each for name, each in judged.items() if each is not None}


def _pictures(clip: Path) -> Iterator[Picture]:
    return (frame.picture for frame in read_frames(clip))


def _pairs(change: Change, clip: Path, other: Path, every: int, most: int) -> Iterator[tuple[Picture, Picture]]:
    frames, others = _pictures(clip), _pictures(other)
    first = None
    for real, stranger in islice(zip(frames, others, strict=False), 0, every * most, every):
        first = real if first is None else first
        size = real.shape[1::-1]
        yield change(real, first, np.asarray(cv2.resize(stranger, size, interpolation=cv2.INTER_AREA), np.uint8)), real
