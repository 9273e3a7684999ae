"""Voices: text in, a sound file out. Each engine is one small class; any other program does by its command line."""

from __future__ import annotations

import importlib
import io
import re
import wave
from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from liveportrait.imports import quiet_imports
from talkinghead.narration.errors import SpeechError
from talkinghead.narration.sentences import pieces, sentences
from talkinghead.narration.tts_command import CommandEngine

_MOST_PHONEMES = 400
"""That hibari is given at once: its memory grows with the square of them."""
_LONG_NUMBER = re.compile(r"[0-9][0-9,]{15,}")


class SpeechEngine(Protocol):
    """Somebody who can read a sentence aloud.

    Attributes:
        identity: What decides how it sounds: the engine, its version, the voice. A part of what finished parts are
            kept by.
    """

    identity: str

    @property
    def reads(self) -> Collection[str] | None:
        """The writing systems that it can read, named as in `writing_systems`; None if that is not known."""
        ...

    def say(self, text: str, file: Path) -> None:
        """Write a sentence's sound.

        Args:
            text: One sentence, or a piece of one that is long.
            file: The wav to write.

        Raises:
            SpeechError: The voice cannot.
        """
        ...


def open_voice(name: str, command: str | None = None) -> SpeechEngine:
    """Return a voice by its name, "heart", "hibari:heart", "kokoro:af_heart" or "piper:voice.onnx", or a command.

    Raises:
        SpeechError: There is no such voice, or its engine is not installed.
    """
    if command:
        return CommandEngine(command)
    engine, colon, voice = name.partition(":")
    if not colon:
        return HibariEngine(name)
    engines = {"hibari": HibariEngine, "kokoro": KokoroEngine, "piper": PiperEngine}
    if engine not in engines or not voice:
        raise SpeechError(f"voice {name!r}: give a voice of hibari, or ENGINE:VOICE with {', '.join(engines)}")
    return engines[engine](voice)


class HibariEngine:
    """The voices of hibari-tts: offline, English; "heart" comes with it, the others are fetched once."""

    reads = ("LATIN",)

    def __init__(self, name: str) -> None:
        with quiet_imports():
            from hibari import Hibari, __version__
            from hibari.voices import VOICES

        if name not in VOICES:
            raise SpeechError(f"voice {name!r} is none of hibari's: {', '.join(VOICES)}; or give kokoro:, piper:")
        try:
            self._hibari = Hibari(voice=name)
        except RuntimeError as error:
            raise SpeechError(f"voice {name!r} is not on this machine ({error}); heart is") from None
        self.identity = f"hibari {__version__} {name}"

    def say(self, text: str, file: Path) -> None:
        """Write a sentence's sound; the same text sounds the same every time."""
        chance = np.random.default_rng(0)
        said = [np.zeros(0, np.float32)]
        for sentence in sentences(text):
            phonemes = self._hibari.g2p(_LONG_NUMBER.sub(_digits, sentence))
            for part in pieces(phonemes, _MOST_PHONEMES):
                said.append(self._hibari.from_ids(self._hibari.ids(part), rng=chance))
        write_speech(file, np.concatenate(said), self._hibari.sample_rate)


class KokoroEngine:
    """The voices of Kokoro-82M, where its package is installed; the first letter of a voice is its language."""

    reads = None

    def __init__(self, name: str) -> None:
        kokoro = _engine("kokoro", "kokoro")
        self._voice = name
        try:
            self._pipeline = kokoro.KPipeline(lang_code=name[0])
        except Exception as error:
            raise SpeechError(f"voice kokoro:{name} cannot be loaded ({error})") from error
        self.identity = f"kokoro {getattr(kokoro, '__version__', '')} {name}"

    def say(self, text: str, file: Path) -> None:
        """Write a sentence's sound."""
        parts = [np.asarray(audio, np.float32) for _, _, audio in self._pipeline(text, voice=self._voice)]
        write_speech(file, np.concatenate([np.zeros(0, np.float32), *parts]), 24_000)


class PiperEngine:
    """A voice of Piper: the .onnx file of a voice, its .json beside it."""

    reads = None

    def __init__(self, model: str) -> None:
        piper = _engine("piper", "piper-tts")
        path = Path(model)
        if not path.is_file():
            raise SpeechError(f"{path}: no such voice; fetch one with python -m piper.download_voices")
        try:
            self._voice = piper.PiperEngine.load(str(path))
        except Exception as error:
            raise SpeechError(f"voice piper:{path} cannot be loaded ({error})") from error
        self.identity = f"piper {path.name} {path.stat().st_size}"

    def say(self, text: str, file: Path) -> None:
        """Write a sentence's sound."""
        with wave.open(str(file), "wb") as sound:
            self._voice.synthesize_wav(text, sound)


def write_speech(file: Path, samples: np.ndarray, rate: int) -> None:
    """Write mono samples in [-1, 1] as 16 bit."""
    import soundfile

    sound = io.BytesIO()  # in memory first: soundfile itself does not say that a disk is full
    soundfile.write(sound, samples, rate, subtype="PCM_16", format="WAV")
    file.write_bytes(sound.getvalue())


def _engine(module: str, package: str) -> Any:
    try:
        with quiet_imports():
            return importlib.import_module(module)
    except ImportError:
        raise SpeechError(f"{module} is not installed: pip install {package}, or choose one of hibari's") from None


def _digits(number: re.Match[str]) -> str:
    """Take a number apart that is too long to have a name."""
    return " ".join(number[0].replace(",", ""))
