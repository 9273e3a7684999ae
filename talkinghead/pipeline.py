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
from talkinghead.driver.driver import Driver, driving_rules, extend
from talkinghead.driver.reference import extract_reference
from talkinghead.driver.resample import Frames, in_batches, retime
from talkinghead.driver.sliders import SliderTrack
from talkinghead.driver.speech import generate_motion
from talkinghead.host.isolation import made_with_own, own_settings
from talkinghead.media.audio import Sound, stream_mono_16k
from talkinghead.media.image import Picture
from talkinghead.models import Models
from talkinghead.options import Options
from talkinghead.render import ToKeypoints, render_ahead
from talkinghead.source.image import ImageSource
from talkinghead.source.video import VideoSource

Compositor = Callable[[Iterator[Picture | None]], Iterator[Picture]]
"""Moves one face in pictures in which others have moved already."""


class DrivenFace(NamedTuple):
    """A face and what it follows."""

    source: ImageSource | VideoSource
    driver: Driver


def animate(
    source: ImageSource | VideoSource,
    driving: Iterable[Frames],
    pose: ToKeypoints[Frames],
    models: Models,
    options: Options,
    backgrounds: Iterator[Picture | None] = itertools.repeat(None),  # noqa: B008 — has no state
) -> Iterator[Picture]:
    """Let a portrait move, in constant memory.

    Args:
        source: The picture and its face.
        driving: Parts of what it does, of any length.
        pose: How the model's keypoints do it.
        models: What renders.
        options: What the user wants.
        backgrounds: Pictures in which other faces have moved already; None for the source's own.

    Yields:
        The video's pictures, RGB, uint8, each an array of its own.
    """
    batches = in_batches(driving, options.render.batch_size if source.still else 1)
    return made_with_own(
        render_ahead(models.portrait, zip(batches, source.source_frames(), strict=False), pose, backgrounds)
    )


def speak(source: ImageSource, sound: Sound, models: Models, options: Options) -> Video:
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
    reference = extract_reference(options.motion.reference, models) if options.motion.reference else None

    def pictures() -> Iterator[Picture]:
        driving, pose = generate_motion(models, stream_mono_16k(sound), options.motion, reference)
        return animate(source, retime(driving, fps, count), pose, models, options)

    return Video(source, fps, count, sound, pictures)


def reenact(faces: Sequence[DrivenFace], sound: Sound | None, models: Models, options: Options) -> Video:
    """Let faces of one picture follow drivers.

    Args:
        faces: Who follows whom; the drivers come at one rate, that of the source where it is a video.
        sound: What is heard.
        models: What renders.
        options: What the user wants.

    Raises:
        OptionError: The anchor lies beyond a driver's end.
    """
    source, fps = faces[0].source, faces[0].driver.fps
    count = count_driven(faces, sound, loop=options.drive.loop)
    compositors = [drive_face(face, count, models, options) for face in faces]

    def pictures() -> Iterator[Picture]:
        moved: Iterator[Picture | None] = itertools.repeat(None)
        for compositor in compositors:
            moved = compositor(moved)
        return moved  # type: ignore[return-value] — every performer yields pictures

    def notes() -> tuple[str, ...]:
        videos = [face.source.notes() for face in faces if isinstance(face.source, VideoSource)]
        return tuple(dict.fromkeys(itertools.chain(*(face.driver.notes for face in faces), *videos)))

    # How long a source video is shows itself at its end: a file ends its sound with its pictures.
    heard = sound.part(Fraction(0), count / fps) if sound and source.still else sound
    return Video(source, fps, count, heard, pictures, notes)


@own_settings()
def drive_face(face: DrivenFace, count: int, models: Models, options: Options) -> Compositor:
    """Let one face follow its driver: lay it over pictures in which others have moved already."""
    source, driver = face
    rules, anchor = driving_rules(options.drive), driver.anchor(options.drive.anchor)

    def to_keypoints(portrait: Portrait, motion: Motion) -> Tensor:
        return models.portrait.driving_keypoints(portrait, motion, anchor and anchor.to(models.device), rules)

    @own_settings()
    def compositor(backgrounds: Iterator[Picture | None]) -> Iterator[Picture]:
        smooth = MotionSmoother(options.drive.smooth, float(driver.fps))
        moves = replace(
            driver.motion, dense_residual=driver.dense_residual_since(anchor, rules.face) if source.still else None
        )
        motion = extend(moves, count if source.still else None, loop=options.drive.loop)
        return animate(source, map(smooth, motion), to_keypoints, models, options, backgrounds)

    return compositor


def edit(source: ImageSource, moves: SliderTrack, models: Models, options: Options) -> Video:
    """Change a face by hand, frame by frame."""

    def pictures() -> Iterator[Picture]:
        return animate(source, [moves], pose, models, options)

    def pose(portrait: Portrait, part: SliderTrack) -> Tensor:
        return torch.cat([models.portrait.edit(portrait, sliders) for sliders in part.sliders()])

    return Video(source, options.render.fps or Fraction(FRAME_RATE), len(moves), None, pictures)


def count_driven(faces: Sequence[DrivenFace], sound: Sound | None, *, loop: bool) -> int:
    """Return how many frames a reenactment has.

    A source video's own; else the longest driver's, or the sound's if drivers repeat or are pictures.
    """
    source = faces[0].source
    if isinstance(source, VideoSource):
        return source.file.num_frames
    count = max(len(face.driver.motion) for face in faces)
    lasts = loop or not any(face.driver.is_video for face in faces)
    return max(count, count_frames(sound, faces[0].driver.fps)) if lasts and sound is not None else count


def count_frames(sound: Sound, fps: Fraction) -> int:
    """Return how many frames it takes until the sound has ended."""
    return math.ceil(sound.seconds * fps)


@dataclass(frozen=True, repr=False)
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

    source: ImageSource | VideoSource
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

    def __repr__(self) -> str:
        height, width = self.size
        heard = "with sound" if self.sound else "silent"
        return f"<Video {width}x{height}, {self.num_frames} frames at {float(self.fps):.5g} fps, {heard}>"
