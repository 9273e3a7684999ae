"""Borrow how the head moves and the eyes blink from a clip, instead of drawing them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor

from audio2motion import FRAME_RATE
from audio2motion.idle import FOLLOWED, facing_deg
from liveportrait import Motion, SpeechMotion
from liveportrait.compose import relative_rotation
from liveportrait.regions import OFFICIAL
from talkinghead.driver.driver import extract_driver, open_driver
from talkinghead.errors import VideoError
from talkinghead.media.progress import no_progress
from talkinghead.models import Models
from talkinghead.options import DriveOptions, Options, RenderOptions

WIDEST = 1.2
"""How much wider than usual borrowed eyes may open."""


@dataclass(frozen=True)
class Reference:
    """A clip's motion, played forth and back.

    Attributes:
        motion: T frames at 25 a second.
        anchor: Where it is neutral, one frame.
        start: From which frame on it is played.
    """

    motion: Motion
    anchor: Motion
    start: int = 0

    def starting(self, number: int) -> Reference:
        """Return the same, played from a frame on; any number stands for some frame."""
        return replace(self, start=number % len(self.motion))

    def frames(self, first: int, count: int) -> Motion:
        """Return frames first … first + count - 1 of the endless play: 0 1 2 1 0 1 ..."""
        length = len(self.motion)
        around = max(2 * length - 2, 1)
        first += self.start
        at = torch.arange(first, first + count) % around
        return self.motion[torch.minimum(at, around - at)]

    def openness(self, part: Motion) -> Tensor:
        """Return how open the eyes are against the usual, (left, right), shape (T, 2)."""
        if part.eye_ratio is None or self.motion.eye_ratio is None:
            return torch.ones(len(part), 2, dtype=torch.float32)
        usual = self.motion.eye_ratio.median(0).values.clamp_min(1e-6)
        return (part.eye_ratio / usual).clamp(0, WIDEST)


def extract_reference(path: str | os.PathLike[str], models: Models) -> Reference:
    """Read the motion of a clip.

    Args:
        path: A video of one face, or a motion template.
        models: What reads motion.

    Raises:
        VideoError: It is a single picture.
        PortraitError: It cannot be read, or shows no face.
    """
    options = Options(drive=DriveOptions(dense_residual=False), render=RenderOptions(fps=Fraction(FRAME_RATE)))
    driver = extract_driver(open_driver(path), str(path), models, options, no_progress)
    anchor = driver.anchor(None)
    if anchor is None:
        raise VideoError(f"{path}: a single picture moves no head; give a video as the reference")
    return Reference(driver.motion, anchor)


def borrow(speech_motion: Iterable[SpeechMotion], reference: Reference) -> Iterator[SpeechMotion]:
    """Give a performance the reference's head and blinks; its gaze stays with the viewer as the head turns."""
    done = 0
    for part in speech_motion:
        lent = reference.frames(done, len(part))
        done += len(part)
        rotation = lent.rotation @ reference.anchor.rotation.transpose(1, 2)
        turned = facing_deg(rotation) - facing_deg(part.rotation)
        yield replace(
            part,
            rotation=rotation,
            translation=(lent.translation - reference.anchor.translation) * lent.translation.new_tensor([1, 1, 0]),
            eye_openness=reference.openness(lent),
            gaze_deg=part.gaze_deg - FOLLOWED * turned,
        )


def borrow_motion(motion: Iterable[Motion], first: Motion, reference: Reference) -> Iterator[Motion]:
    """Give generated motion of the official networks the reference's head and eyes, from its first frame on."""
    anchor, done = reference.anchor, 0
    for part in motion:
        lent = reference.frames(done, len(part))
        done += len(part)
        eyes = first.expression + lent.expression - anchor.expression
        yield replace(
            part,
            rotation=relative_rotation(first.rotation, lent.rotation, anchor.rotation),
            translation=first.translation + lent.translation - anchor.translation,
            scale=first.scale * lent.scale / anchor.scale,
            expression=OFFICIAL.pick("eyes", eyes, part.expression),
        )
