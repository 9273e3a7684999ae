"""How a portrait comes to life: the whole story on one screen. Start here."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

import torch
from torch import Tensor

from audio2motion import FRAME_RATE
from liveportrait import Motion, Portrait
from liveportrait.smoothing import MotionSmoother
from talkinghead.driver import Driver, follow_rules, lasting
from talkinghead.driving import Frames, in_batches, retime
from talkinghead.film import Film
from talkinghead.isolation import made_with_own, own_settings
from talkinghead.media.audio import Sound, stream_mono_16k
from talkinghead.media.image import Picture
from talkinghead.models import Models
from talkinghead.moves import Moves
from talkinghead.options import Options
from talkinghead.reference import watch_reference
from talkinghead.render import Pose, render_ahead
from talkinghead.source import Source
from talkinghead.speaking import enact

Performer = Callable[[Iterator[Picture | None]], Iterator[Picture]]
"""Moves one face in pictures in which others have moved already."""


class Role(NamedTuple):
    """A face and what it follows."""

    source: Source | Film
    driver: Driver


def animate(
    source: Source | Film,
    driving: Iterable[Frames],
    pose: Pose[Frames],
    models: Models,
    options: Options,
    grounds: Iterator[Picture | None] = itertools.repeat(None),  # noqa: B008 — has no state
) -> Iterator[Picture]:
    """Let a portrait move, in constant memory.

    Args:
        source: The picture and its face.
        driving: Parts of what it does, of any length.
        pose: How the model's keypoints do it.
        models: What renders.
        options: What the user wants.
        grounds: Pictures in which other faces have moved already; None for the source's own.

    Yields:
        The video's pictures, RGB, uint8, each an array of its own.
    """
    batches = in_batches(driving, options.render.batch_size if source.still else 1)
    return made_with_own(render_ahead(models.portrait, zip(batches, source.scenes(), strict=False), pose, grounds))


def speak(source: Source, sound: Sound, models: Models, options: Options) -> Video:
    """Let a portrait speak.

    Args:
        source: The picture and its face.
        sound: The voice.
        models: What hears and what renders.
        options: What the user wants.

    Raises:
        PortraitError: The clip that lends its head cannot be used.
    """
    fps = options.render.fps or Fraction(FRAME_RATE)
    count = count_frames(sound, fps)
    reference = watch_reference(options.motion.reference, models) if options.motion.reference else None

    def pictures() -> Iterator[Picture]:
        driving, pose = enact(models, stream_mono_16k(sound), options.motion, reference)
        return animate(source, retime(driving, fps, count), pose, models, options)

    return Video(source, fps, count, sound, pictures)


def reenact(roles: Sequence[Role], sound: Sound | None, models: Models, options: Options) -> Video:
    """Let faces of one picture follow drivers.

    Args:
        roles: Who follows whom; the drivers come at one rate, that of the source where it is a video.
        sound: What is heard.
        models: What renders.
        options: What the user wants.

    Raises:
        OptionError: The anchor lies beyond a driver's end.
    """
    source, fps = roles[0].source, roles[0].driver.fps
    count = count_driven(roles, sound, loop=options.drive.loop)
    performers = [perform(role, count, models, options) for role in roles]

    def pictures() -> Iterator[Picture]:
        moved: Iterator[Picture | None] = itertools.repeat(None)
        for performer in performers:
            moved = performer(moved)
        return moved  # type: ignore[return-value] — every performer yields pictures

    def notes() -> tuple[str, ...]:
        films = [role.source.notes() for role in roles if isinstance(role.source, Film)]
        return tuple(dict.fromkeys(itertools.chain(*(role.driver.notes for role in roles), *films)))

    # How long a source video is shows itself at its end: a file ends its sound with its pictures.
    heard = sound.part(Fraction(0), count / fps) if sound and source.still else sound
    return Video(source, fps, count, heard, pictures, notes)


@own_settings()
def perform(role: Role, count: int, models: Models, options: Options) -> Performer:
    """Let one face follow its driver: lay it over pictures in which others have moved already."""
    source, driver = role
    rules, anchor = follow_rules(options.drive), driver.anchor(options.drive.anchor)

    def follow(portrait: Portrait, motion: Motion) -> Tensor:
        return models.portrait.follow(portrait, motion, anchor and anchor.to(models.device), rules)

    @own_settings()
    def performer(grounds: Iterator[Picture | None]) -> Iterator[Picture]:
        smooth = MotionSmoother(options.drive.smooth, float(driver.fps))
        moves = replace(driver.motion, skin=driver.skin_since(anchor, rules.face) if source.still else None)
        motion = lasting(moves, count if source.still else None, loop=options.drive.loop)
        return animate(source, map(smooth, motion), follow, models, options, grounds)

    return performer


def edit(source: Source, moves: Moves, models: Models, options: Options) -> Video:
    """Change a face by hand, frame by frame."""

    def pictures() -> Iterator[Picture]:
        return animate(source, [moves], pose, models, options)

    def pose(portrait: Portrait, part: Moves) -> Tensor:
        return torch.cat([models.portrait.edit(portrait, sliders) for sliders in part.sliders()])

    return Video(source, options.render.fps or Fraction(FRAME_RATE), len(moves), None, pictures)


def count_driven(roles: Sequence[Role], sound: Sound | None, *, loop: bool) -> int:
    """Return how many frames a reenactment has.

    A source video's own; else the longest driver's, or the sound's if drivers repeat or are pictures.
    """
    source = roles[0].source
    if isinstance(source, Film):
        return source.file.num_frames
    count = max(len(role.driver.motion) for role in roles)
    lasts = loop or not any(role.driver.is_video for role in roles)
    return max(count, count_frames(sound, roles[0].driver.fps)) if lasts and sound is not None else count


def count_frames(sound: Sound, fps: Fraction) -> int:
    """Return how many frames it takes until the sound has ended."""
    return math.ceil(sound.seconds * fps)


@dataclass(frozen=True)
class Video:
    """A video that is made while it is watched: iterate over it, as often as you like.

    Attributes:
        source: The picture and its face.
        fps: Pictures a second.
        num_frames: How many there are; of a source video, how many it says there are.
        sound: What is heard, or None.
        pictures: Makes the pictures, from the first one.
        report: Says what a user should know about the inputs, once the pictures are made.
        shown_size: (height, width) of the pictures, where it is not the source's.
    """

    source: Source | Film
    fps: Fraction
    num_frames: int
    sound: Sound | None
    pictures: Callable[[], Iterator[Picture]]
    report: Callable[[], tuple[str, ...]] = tuple
    shown_size: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the pictures."""
        return self.shown_size or self.source.size

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about the inputs; about a source video, once its frames are made."""
        return self.report()

    def __iter__(self) -> Iterator[Picture]:
        return self.pictures()

    def __len__(self) -> int:
        return self.num_frames
