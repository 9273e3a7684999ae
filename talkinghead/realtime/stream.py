"""Animate a portrait from live speech of unknown length."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audio2motion import FRAME_RATE
from audio2motion.streaming import VoiceStream
from audio2motion.voices import suits_any_model
from liveportrait import SpeechMotion
from liveportrait.numerals import read_whole
from talkinghead.driver.reference import apply_reference, extract_reference
from talkinghead.driver.resample import retime, scale_motion
from talkinghead.errors import AudioError, OptionError
from talkinghead.host.isolation import made_with_callers, made_with_own, own_settings
from talkinghead.media.audio import MODEL_RATE
from talkinghead.media.image import Picture, check_picture, read_image
from talkinghead.models import Models, load_models
from talkinghead.options import MODEL, Options
from talkinghead.render import render
from talkinghead.source.image import ImageSource, open_image_source

Samples = NDArray[Any] | Tensor
"""Mono samples of shape (N,), (N, 1) or (1, N), N ≥ 0: floating-point in [-1, 1], or integers as in WAV files."""

_INTEGERS = {"uint8": (128, 128), "int16": (0, 32_768), "int32": (0, 2_147_483_648)}
"""The value of silence, and the distance from it to full scale."""

_LOUDEST = 100.0
_LEAST_RATE, _MOST_RATE = 1_000, 768_000
_PIECES = 25
"""Pieces per second into which chunks are cut, so that long chunks do not delay pictures."""


class Chunks(Protocol):
    """A queue of chunks: `queue.Queue`, `multiprocessing.Queue` and the like."""

    def get(self) -> Samples | None:
        """Wait for the next chunk; None ends the sound."""
        ...


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
        the time that it shows; all pictures together last as long as the sound. The face is detected before the
        first chunk is requested.

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
    models = load_models(model, options.render.device, precision=options.render.precision)
    return speak_live(open_image_source(picture, name, models, options.crop), voice, models, options)


@own_settings()
def speak_live(source: ImageSource, voice: Iterable[Tensor], models: Models, options: Options) -> Iterator[Picture]:
    """Animate an opened portrait from live speech.

    Args:
        source: As in `talkinghead.pipeline.speak`.
        voice: The result of `to_voice`.
        models: As in `talkinghead.pipeline.speak`.
        options: As in `talkinghead.pipeline.speak`.

    Raises:
        OptionError: The voice model does not support live speech.
    """
    if not suits_any_model(models.voice):
        raise OptionError(
            "this voice model needs seconds of sound at once and cannot speak live: leave out --voice-model"
        )
    voice_stream, mouth = models.voice.streaming(seed=options.motion.seed), models.voice.num_mouth
    speech_motion = generate_live(voice_stream, voice)
    if options.motion.reference:
        speech_motion = apply_reference(speech_motion, extract_reference(options.motion.reference, models))
    speech_motion = scale_motion(speech_motion, options.motion, mouth)
    parts = retime(speech_motion, options.render.fps or Fraction(FRAME_RATE), None)
    frame = next(source.source_frames())
    pictures = (
        shown for part in parts for shown in render(models.portrait, frame, part, models.portrait.speech_keypoints)
    )
    return made_with_own(pictures)


def generate_live(voice_stream: VoiceStream, voice: Iterable[Tensor]) -> Iterator[SpeechMotion]:
    """Yield each part of the motion as soon as the sound that it needs has arrived."""
    for chunk in voice:
        yield from voice_stream.push(chunk)
    yield from voice_stream.finish()


def to_voice(sound: Iterable[Samples] | Chunks, rate: int) -> Iterator[Tensor]:
    """Convert live sound to the networks' input: float32 at 16 kHz, in pieces of at most 40 ms.

    Raises:
        AudioError: The rate is invalid, or the sound is neither an iterable nor a queue of chunks; during iteration
            also if a chunk does not hold mono samples.
    """
    try:
        whole = int(rate) if isinstance(rate, float) and rate.is_integer() else rate
        rate = read_whole(whole, "samples a second", _LEAST_RATE, _MOST_RATE)
    except ValueError as error:
        raise AudioError(f"invalid rate: {error}") from None
    if isinstance(sound, np.ndarray | Tensor):
        sound = [sound]
    elif not isinstance(sound, Iterable):
        if not hasattr(sound, "get"):
            raise AudioError(f"the sound is {type(sound).__name__}: give chunks of samples, or a queue of them")
        sound = _taken(sound)
    pieces = (piece for chunk in made_with_callers(sound) for piece in _cut(_samples(chunk), rate))
    return map(torch.from_numpy, pieces if rate == MODEL_RATE else _resampled(pieces, rate))


def _taken(queue: Chunks) -> Iterator[Samples]:
    """Yield chunks from a queue until None; `iter(queue.get, None)` would compare every sample with None."""
    while (chunk := queue.get()) is not None:
        yield chunk


def _cut(samples: NDArray[np.float32], rate: int) -> Iterator[NDArray[np.float32]]:
    size = rate // _PIECES
    return (samples[start : start + size] for start in range(0, len(samples), size))


def _resampled(pieces: Iterable[NDArray[np.float32]], rate: int) -> Iterator[NDArray[np.float32]]:
    resampler = av.AudioResampler("fltp", "mono", MODEL_RATE)
    for piece in pieces:
        frame = av.AudioFrame.from_ndarray(piece[None], "fltp", "mono")
        frame.sample_rate = rate
        yield from (part.to_ndarray()[0] for part in resampler.resample(frame))
    yield from (part.to_ndarray()[0] for part in resampler.resample(None))


def _samples(chunk: Samples) -> NDArray[np.float32]:
    """Return a chunk as floating-point samples, shape (N,).

    Raises:
        AudioError: The chunk has another shape or type, or values out of range.
    """
    if isinstance(chunk, Tensor):  # numpy has no bfloat16
        chunk = (chunk.float() if chunk.is_floating_point() else chunk).numpy(force=True)
    values = np.asarray(chunk)
    kind = str(values.dtype)
    if values.ndim not in (1, 2) or (values.ndim == 2 and 1 not in values.shape):
        raise AudioError(f"a chunk of sound has shape {values.shape}: give one channel, (N,)")
    if values.dtype.kind != "f" and kind not in _INTEGERS:
        raise AudioError(f"a chunk of sound is in {kind}: give float32 in [-1, 1], or {', '.join(_INTEGERS)}")
    loudest = float(np.abs(values).max(initial=0)) if values.dtype.kind == "f" else 0.0
    if not loudest <= _LOUDEST:  # NaN too
        raise AudioError(f"a chunk of sound has samples up to {loudest:.3g}: give floating-point in [-1, 1]")
    silence, full = _INTEGERS.get(kind, (0, 1))
    return np.ascontiguousarray((values.ravel().astype(np.float32) - silence) / np.float32(full), np.float32)
