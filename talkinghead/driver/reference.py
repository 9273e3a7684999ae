"""Take head motion, blinks and the size of mouth movements from a reference clip."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import torch
from torch import Tensor

from audio2motion import FRAME_RATE
from audio2motion.idle import FOLLOWED, facing_deg
from liveportrait import Motion, SpeechMotion
from liveportrait.keypoints import relative_rotation
from liveportrait.regions import OFFICIAL
from talkinghead.driver.driver import extract_driver, open_driver
from talkinghead.driver.lip_size import lip_gain
from talkinghead.errors import VideoError
from talkinghead.media.progress import no_progress
from talkinghead.models import Models
from talkinghead.options import DriveOptions, Options, RenderOptions

WIDEST = 1.2
"""Largest eye opening taken from the reference, relative to its median."""


@dataclass(frozen=True)
class Reference:
    """The motion of a clip, looped back and forth.

    Attributes:
        motion: T frames at 25 fps.
        anchor: Its most neutral frame.
        start: The frame to start from.
    """

    motion: Motion
    anchor: Motion
    start: int = 0

    def starting(self, number: int) -> Reference:
        """Return the same reference starting from another frame, taken modulo the length."""
        return replace(self, start=number % len(self.motion))

    def frames(self, first: int, count: int) -> Motion:
        """Return frames first … first + count - 1 of the endless loop 0 1 2 1 0 1 ..."""
        length = len(self.motion)
        around = max(2 * length - 2, 1)
        first += self.start
        at = torch.arange(first, first + count) % around
        return self.motion[torch.minimum(at, around - at)]

    def openness(self, part: Motion) -> Tensor:
        """Return the opening of the eyes relative to its median, (left, right), shape (T, 2)."""
        if part.eye_ratio is None or self.motion.eye_ratio is None:
            return torch.ones(len(part), 2, dtype=torch.float32)
        median = self.motion.eye_ratio.median(0).values.clamp_min(1e-6)
        return (part.eye_ratio / median).clamp(0, WIDEST)

    @cached_property
    def lip_gain(self) -> float:
        """How far the clip's speaker opens the mouth, relative to what a voice alone tells."""
        return 1.0 if self.motion.lip_ratio is None else lip_gain(self.motion.lip_ratio)


def extract_reference(path: str | os.PathLike[str], models: Models) -> Reference:
    """Extract the motion of a reference clip.

    Args:
        path: A video of one face, or a motion template.
        models: The loaded networks.

    Raises:
        VideoError: The file is a single picture.
        PortraitError: The file cannot be read, or shows no face.
    """
    options = Options(drive=DriveOptions(dense_residual=False), render=RenderOptions(fps=Fraction(FRAME_RATE)))
    driver = extract_driver(open_driver(path), str(path), models, options, no_progress)
    anchor = driver.anchor(None)
    if anchor is None:
        raise VideoError(f"{path}: a single picture has no head motion; give a video as the reference")
    return Reference(driver.motion, anchor)


def apply_reference(
    speech_motion: Iterable[SpeechMotion], reference: Reference, num_mouth: int
) -> Iterator[SpeechMotion]:
    """Replace head motion and blinks with the reference's, and open the mouth as far as its speaker does.

    The gaze stays on the viewer as the head turns.

    Args:
        speech_motion: The motion, in parts.
        reference: The clip.
        num_mouth: The number of expression coefficients that move the mouth; they come first.
    """
    done = 0
    for part in speech_motion:
        taken = reference.frames(done, len(part))
        done += len(part)
        rotation = taken.rotation @ reference.anchor.rotation.transpose(1, 2)
        turned = facing_deg(rotation) - facing_deg(part.rotation)
        mouth, rest = part.expression[:, :num_mouth], part.expression[:, num_mouth:]
        yield replace(
            part,
            expression=torch.cat([mouth * reference.lip_gain, rest], 1),
            lip_ratio=part.lip_ratio * reference.lip_gain,
            rotation=rotation,
            translation=(taken.translation - reference.anchor.translation) * taken.translation.new_tensor([1, 1, 0]),
            eye_openness=reference.openness(taken),
            gaze_deg=part.gaze_deg - FOLLOWED * turned,
        )


def apply_reference_to_motion(motion: Iterable[Motion], first: Motion, reference: Reference) -> Iterator[Motion]:
    """Replace head and eyes in generated motion of the official networks, starting from its first frame."""
    anchor, done = reference.anchor, 0
    for part in motion:
        taken = reference.frames(done, len(part))
        done += len(part)
        eyes = first.expression + taken.expression - anchor.expression
        yield replace(
            part,
            rotation=relative_rotation(first.rotation, taken.rotation, anchor.rotation),
            translation=first.translation + taken.translation - anchor.translation,
            scale=first.scale * taken.scale / anchor.scale,
            expression=OFFICIAL.pick("eyes", eyes, part.expression),
        )
