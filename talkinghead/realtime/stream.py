"""Animate a portrait from live speech of unknown length."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

from torch import Tensor

from audio2motion import FRAME_RATE
from audio2motion.streaming import HOP
from liveportrait import SpeechMotion
from talkinghead.driver.reference import extract_reference
from talkinghead.host.isolation import made_with_own, own_settings
from talkinghead.media.audio import MODEL_RATE
from talkinghead.media.image import Picture, check_picture, read_image
from talkinghead.models import Models, load_models_for
from talkinghead.options import MODEL, Options
from talkinghead.realtime.avatar import live_voice
from talkinghead.realtime.live_frames import styled
from talkinghead.realtime.sound import Chunks, Samples, to_voice
from talkinghead.realtime.turns import Turns
from talkinghead.render import render
from talkinghead.source.image import ImageSource, open_image_source


def stream(
    source: str | os.PathLike[str] | Picture,
    sound: Iterable[Samples] | Chunks,
    rate: int = MODEL_RATE,
    *,
    options: Options | None = None,
    model: str | Path | Models = MODEL,
) -> Iterator[Picture]:
    """Animate a portrait from speech as the sound arrives.

    Args:
        source: A picture file, or RGB of shape (H, W, 3), uint8.
        sound: Chunks of speech of any size, each requested after all pictures of the chunks before it have been
            yielded; or a `queue.Queue` of chunks that ends with None.
        rate: Samples per second, 1,000 to 768,000.
        options: All other options; `options.render.fps` is the frame rate, by default 25.
        model: "mini", "base", "animals" or a directory; or the result of `load_models`, for a faster start.

    Returns:
        The pictures, RGB of shape (H, W, 3), uint8, each a new array. A picture needs at most 240 ms of sound after
        the time that it shows, the first one 120 ms; all pictures together last as long as the sound. The face is
        detected before the first chunk is requested.

    Raises:
        PortraitError: An argument cannot be used.

    Example:
        >>> import numpy as np
        >>> import talkinghead
        >>> chunks = (np.zeros(1600, np.float32) for _ in range(10))  # a second of 16 kHz sound
        >>> for picture in talkinghead.stream("portrait.png", chunks):
        ...     height, width, _ = picture.shape
    """
    options = options or Options()
    voice = to_voice(sound, rate)
    picture, name = (
        (read_image(source), str(source))
        if isinstance(source, str | os.PathLike)
        else (check_picture(source), "the picture")
    )
    models = load_models_for(options.render, model)
    return speak_live(open_image_source(picture, name, models, options.crop), voice, models, options)


@own_settings()
def speak_live(source: ImageSource, voice: Iterable[Tensor], models: Models, options: Options) -> Iterator[Picture]:
    """Animate an opened portrait from live speech: one turn of an avatar, without waiting and idling.

    Args:
        source: As in `talkinghead.pipeline.speak`.
        voice: The result of `to_voice`.
        models: As in `talkinghead.pipeline.speak`.
        options: As in `talkinghead.pipeline.speak`.

    Raises:
        OptionError: The voice model does not support live speech.
    """
    turns = Turns(live_voice(models), MODEL_RATE, seed=options.motion.seed, preroll=1)
    reference = extract_reference(options.motion.reference, models) if options.motion.reference else None
    fps = options.render.fps or Fraction(FRAME_RATE)
    parts = styled(_one_turn(turns, voice), options.motion, live_voice(models).num_mouth, fps, reference)
    frame = next(source.source_frames())
    pictures = (
        shown for part in parts for shown in render(models.portrait, frame, part, models.portrait.speech_keypoints)
    )
    return made_with_own(pictures)


def _one_turn(turns: Turns, voice: Iterable[Tensor]) -> Iterator[SpeechMotion]:
    """Yield the motion as soon as the sound that it needs has arrived: the first frame, then parts of a few frames."""
    size = 1

    def spoken() -> Iterator[SpeechMotion]:
        nonlocal size
        while turns.can_speak():
            frames = [turns.next().motion]
            while len(frames) < size and turns.can_speak():
                frames.append(turns.next().motion)
            size = HOP
            yield SpeechMotion.cat(frames)

    for piece in voice:
        turns.push(piece.numpy(), MODEL_RATE)
        yield from spoken()
    turns.flush()
    yield from spoken()
