"""How a portrait comes to speak: the whole story on one screen. Start here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from talkinghead.driving import direct, in_batches, retime
from talkinghead.media.audio import Sound, stream_mono_16k
from talkinghead.media.image import Picture
from talkinghead.models import Models
from talkinghead.options import Options
from talkinghead.render import render
from talkinghead.source import Source


def speak(source: Source, sound: Sound, models: Models, options: Options) -> Iterator[Picture]:
    """Let a portrait speak, in constant memory.

    Args:
        source: The picture and its face.
        sound: The voice.
        models: What hears and what renders.
        options: What the user wants.

    Yields:
        The video's pictures, RGB, uint8, as many as `count_frames` says, each an array of its own.
    """
    performance = models.voice.stream(stream_mono_16k(sound.file), seed=options.motion.seed)
    performance = direct(performance, options.motion, models.voice.config.num_mouth)
    performance = retime(performance, options.render.fps, count_frames(sound, options.render.fps))
    crops = render(models.portrait, source.portrait, in_batches(performance, options.render.batch_size))
    return map(source.place, crops)


def count_frames(sound: Sound, fps: Fraction) -> int:
    """Return how many frames it takes until the sound has ended."""
    return math.ceil(sound.seconds * fps)


@dataclass(frozen=True)
class Video:
    """A video that is made while it is watched: iterate over it, as often as you like.

    Attributes:
        source: The picture and its face.
        sound: The voice.
        models: What hears and what renders.
        options: What the user wants.
    """

    source: Source
    sound: Sound
    models: Models
    options: Options

    def __iter__(self) -> Iterator[Picture]:
        return speak(self.source, self.sound, self.models, self.options)

    def __len__(self) -> int:
        return count_frames(self.sound, self.options.render.fps)
