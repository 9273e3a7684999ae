"""Sound in while it is spoken, pictures out: a portrait that speaks live, for a voice of unknown length."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audio2motion import FRAME_RATE, AudioToMotion
from audio2motion.live import VoiceStream
from liveportrait import Performance
from talkinghead.driving import direct, retime
from talkinghead.errors import AudioError, OptionError
from talkinghead.media.audio import MODEL_RATE
from talkinghead.media.image import Picture, check_picture, read_image
from talkinghead.models import Models, load_models
from talkinghead.options import MODEL, Options
from talkinghead.reference import borrow, watch_reference
from talkinghead.render import render
from talkinghead.source import Source, open_source

Samples = NDArray[np.float32] | NDArray[np.int16] | Tensor
"""Mono samples of shape (N,), N ≥ 0: floating-point in [-1, 1], or int16."""


def stream(
    image: str | os.PathLike[str] | Picture,
    sound: Iterable[Samples],
    rate: int = MODEL_RATE,
    *,
    options: Options = Options(),  # noqa: B008 — frozen
    model: str | Path | Models = MODEL,
) -> Iterator[Picture]:
    """Let a portrait speak while its voice is spoken.

    Args:
        image: A picture file, or RGB of shape (H, W, 3), uint8.
        sound: Chunks of the voice as they come, of any size, each asked for when all pictures of those before are
            out; `iter(queue.get, None)` makes them of a queue.
        rate: Samples a second.
        options: Everything else a user can choose; `options.render.fps` pictures a second, 25 unless given.
        model: "mini", "base", "animals" or a directory; or models loaded before, which saves the time at the start.

    Returns:
        The pictures, RGB of shape (H, W, 3), uint8, each an array of its own, at most 240 ms of sound after the moment
        that it shows begins; together as long as the sound. The face is found before the first chunk is asked for.

    Raises:
        PortraitError: Something is wrong with what was given.
    """
    picture, name = (
        (read_image(image), str(image))
        if isinstance(image, str | os.PathLike)
        else (check_picture(image), "the picture")
    )
    models = load_models(model, options.render.device, precision=options.render.precision)
    return speak_live(open_source(picture, name, models, options.crop), to_voice(sound, rate), models, options)


def speak_live(source: Source, voice: Iterable[Tensor], models: Models, options: Options) -> Iterator[Picture]:
    """Let an opened portrait speak; arguments as in `talkinghead.pipeline.speak`, sound as `to_voice` gives it.

    Raises:
        OptionError: The voice model cannot hear live.
    """
    if not isinstance(models.voice, AudioToMotion):
        raise OptionError("this voice model hears seconds at a time and cannot speak live: leave --voice-model out")
    hearing, mouth = models.voice.streaming(seed=options.motion.seed), models.voice.config.num_mouth
    performance = perform_live(hearing, voice)
    if options.motion.reference:
        performance = borrow(performance, watch_reference(options.motion.reference, models))
    performance = direct(performance, options.motion, mouth)
    parts = retime(performance, options.render.fps or Fraction(FRAME_RATE), None)
    scene = next(source.scenes())
    return (shown for part in parts for shown in render(models.portrait, scene, part, models.portrait.perform))


def perform_live(hearing: VoiceStream, voice: Iterable[Tensor]) -> Iterator[Performance]:
    """Yield every part of a performance as soon as the sound that it needs is there."""
    for chunk in voice:
        yield from hearing.push(chunk)
    yield from hearing.finish()


def to_voice(chunks: Iterable[Samples], rate: int) -> Iterator[Tensor]:
    """Bring a live sound to what the networks hear: float32 at 16 kHz.

    Raises:
        AudioError: A chunk is no row of samples.
    """
    if rate == MODEL_RATE:
        yield from map(torch.from_numpy, map(_samples, chunks))
        return
    resampler = av.AudioResampler("fltp", "mono", MODEL_RATE)
    for chunk in map(_samples, chunks):
        if len(chunk):
            frame = av.AudioFrame.from_ndarray(chunk[None], "fltp", "mono")
            frame.sample_rate = rate
            yield from (torch.from_numpy(part.to_ndarray()[0]) for part in resampler.resample(frame))
    yield from (torch.from_numpy(part.to_ndarray()[0]) for part in resampler.resample(None))


def _samples(chunk: Samples) -> NDArray[np.float32]:
    values = chunk.numpy(force=True) if isinstance(chunk, Tensor) else np.asarray(chunk)
    if values.ndim != 1 or (values.dtype != np.int16 and values.dtype.kind != "f"):
        raise AudioError(f"a chunk of sound has shape {values.shape} in {values.dtype}: give (N,) in float32 or int16")
    scale = 32768 if values.dtype == np.int16 else 1
    return np.ascontiguousarray(values.astype(np.float32) / np.float32(scale))
