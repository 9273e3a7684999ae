"""How a portrait comes to life: the whole story on one screen. Start here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from torch import Tensor

from audio2motion import FRAME_RATE
from liveportrait import Motion, Portrait
from liveportrait.sliders import Sliders
from liveportrait.smoothing import MotionSmoother
from talkinghead.driver import Driver, follow_rules, repeated
from talkinghead.driving import Frames, in_batches, retime
from talkinghead.film import Film
from talkinghead.media.audio import Sound, stream_mono_16k
from talkinghead.media.image import Picture
from talkinghead.models import Models
from talkinghead.options import Options
from talkinghead.render import Pose, render
from talkinghead.source import Source
from talkinghead.speaking import enact


def animate(
    source: Source | Film, driving: Iterable[Frames], pose: Pose[Frames], models: Models, options: Options
) -> Iterator[Picture]:
    """Let a portrait move, in constant memory.

    Args:
        source: The picture and its face.
        driving: Parts of what it does, of any length.
        pose: How the model's keypoints do it.
        models: What renders.
        options: What the user wants.

    Yields:
        The video's pictures, RGB, uint8, each an array of its own.
    """
    batches = in_batches(driving, options.render.batch_size if source.still else 1)
    for part, scene in zip(batches, source.scenes(), strict=False):
        yield from render(models.portrait, scene, part, pose)


def speak(source: Source, sound: Sound, models: Models, options: Options) -> Video:
    """Let a portrait speak.

    Args:
        source: The picture and its face.
        sound: The voice.
        models: What hears and what renders.
        options: What the user wants.
    """
    fps = options.render.fps or Fraction(FRAME_RATE)
    count = count_frames(sound, fps)

    def pictures() -> Iterator[Picture]:
        driving, pose = enact(models, stream_mono_16k(sound.file), options.motion)
        return animate(source, retime(driving, fps, count), pose, models, options)

    return Video(source, fps, count, sound, pictures)


def reenact(source: Source | Film, driver: Driver, sound: Sound | None, models: Models, options: Options) -> Video:
    """Let a portrait follow a driver.

    Args:
        source: The picture or the video, and its face; the driver comes at a video's rate.
        driver: What it follows.
        sound: What is heard.
        models: What renders.
        options: What the user wants.

    Raises:
        OptionError: The anchor lies beyond the driver's end.
    """
    rules, anchor = follow_rules(options.drive), driver.anchor(options.drive.anchor)
    count = count_driven(source, driver, sound, loop=options.drive.loop)

    def pictures() -> Iterator[Picture]:
        smooth = MotionSmoother(options.drive.smooth, float(driver.fps))
        motion = map(smooth, repeated(driver.motion, count))
        return animate(source, motion, follow, models, options)

    def follow(portrait: Portrait, motion: Motion) -> Tensor:
        return models.portrait.follow(portrait, motion, anchor and anchor.to(models.device), rules)

    shown = sound and sound.part(Fraction(0), count / driver.fps)
    return Video(source, driver.fps, count, shown, pictures, driver.notes)


def edit(source: Source, models: Models, options: Options) -> Video:
    """Change one face by hand: a video of one picture."""
    asked = options.edit
    sliders = Sliders(
        smile=asked.smile,
        eyebrow=asked.eyebrow,
        wink=asked.wink,
        gaze_x=asked.gaze_x,
        gaze_y=asked.gaze_y,
        eye_ratio=asked.eyes_open,
        lip_ratio=asked.lips_open,
        pitch_deg=asked.pitch,
        yaw_deg=asked.yaw,
        roll_deg=asked.roll,
        move_x=asked.move_x,
        move_y=asked.move_y,
        zoom=asked.zoom,
    )

    def pictures() -> Iterator[Picture]:
        return animate(source, [source.portrait.motion], pose, models, options)

    def pose(portrait: Portrait, _: Motion) -> Tensor:
        return models.portrait.edit(portrait, sliders)

    return Video(source, options.render.fps or Fraction(FRAME_RATE), 1, None, pictures)


def count_driven(source: Source | Film, driver: Driver, sound: Sound | None, *, loop: bool) -> int:
    """Return how many frames a reenactment has: a source video's, else the sound's if the driver lasts or repeats."""
    count, lasts = len(driver.motion), loop or not driver.is_video
    if isinstance(source, Film):
        return source.file.num_frames if lasts else min(count, source.file.num_frames)
    return max(count, count_frames(sound, driver.fps)) if lasts and sound is not None else count


def count_frames(sound: Sound, fps: Fraction) -> int:
    """Return how many frames it takes until the sound has ended."""
    return math.ceil(sound.seconds * fps)


@dataclass(frozen=True)
class Video:
    """A video that is made while it is watched: iterate over it, as often as you like.

    Attributes:
        source: The picture and its face.
        fps: Pictures a second.
        num_frames: How many there are.
        sound: What is heard, or None.
        pictures: Makes the pictures, from the first one.
        notes: What a user should know about the inputs.
    """

    source: Source | Film
    fps: Fraction
    num_frames: int
    sound: Sound | None
    pictures: Callable[[], Iterator[Picture]]
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Picture]:
        return self.pictures()

    def __len__(self) -> int:
        return self.num_frames
