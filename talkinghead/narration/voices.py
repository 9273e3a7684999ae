"""Speech engines: each is a small class that turns text into a sound file."""

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
"""Phonemes that hibari is given at once; its memory grows with the square of their number."""
_LONG_NUMBER = re.compile(r"[0-9][0-9,]{15,}")


class SpeechEngine(Protocol):
    """A speech engine with one of its voices.

    Attributes:
        identity: Names everything that determines the sound: engine, version, voice. Finished parts are kept under a
            hash that includes it.
    """

    identity: str

    @property
    def reads(self) -> Collection[str] | None:
        """The writing systems that it can read, named as in `writing_systems`; None if unknown."""
        ...

    def say(self, text: str, file: Path) -> None:
        """Synthesize a sentence.

        Args:
            text: One sentence, or a part of a long one.
            file: The wav to write.

        Raises:
            SpeechError: Synthesis failed.
        """
        ...


def open_voice(name: str, command: str | None = None) -> SpeechEngine:
    """Return the engine for a command, or for a voice such as "heart", "hibari:heart" or "piper:voice.onnx".

    Raises:
        SpeechError: The voice does not exist, or its engine is not installed.
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
    """The English voices of hibari-tts, which work offline; "heart" is included, the others are downloaded once."""

    reads = ("LATIN",)

    def __init__(self, name: str) -> None:
        with quiet_imports():
            from hibari import Hibari, __version__
            from hibari.voices import VOICES

        if name not in VOICES:
            raise SpeechError(f"voice {name!r} is not one of hibari's: {', '.join(VOICES)}; or give kokoro:, piper:")
        try:
            self._hibari = Hibari(voice=name)
        except RuntimeError as error:
            raise SpeechError(f"voice {name!r} is not on this machine ({error}); heart is") from None
        self.identity = f"hibari {__version__} {name}"

    def say(self, text: str, file: Path) -> None:
        """Synthesize a sentence; the result is the same every time."""
        rng = np.random.default_rng(0)
        spoken = [np.zeros(0, np.float32)]
        for sentence in sentences(text):
            phonemes = self._hibari.g2p(_LONG_NUMBER.sub(_digits, sentence))
            for part in pieces(phonemes, _MOST_PHONEMES):
                spoken.append(self._hibari.from_ids(self._hibari.ids(part), rng=rng))
        write_speech(file, np.concatenate(spoken), self._hibari.sample_rate)


class KokoroEngine:
    """The voices of Kokoro-82M, if its package is installed; the first letter of a voice is its language."""

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
        """Synthesize a sentence."""
        parts = [np.asarray(audio, np.float32) for _, _, audio in self._pipeline(text, voice=self._voice)]
        write_speech(file, np.concatenate([np.zeros(0, np.float32), *parts]), 24_000)


class PiperEngine:
    """A voice of Piper: an .onnx file with its .json beside it."""

    reads = None

    def __init__(self, model: str) -> None:
        piper = _engine("piper", "piper-tts")
        path = Path(model)
        if not path.is_file():
            raise SpeechError(f"{path}: no such voice; download one with python -m piper.download_voices")
        try:
            self._voice = piper.PiperVoice.load(str(path))
        except Exception as error:
            raise SpeechError(f"voice piper:{path} cannot be loaded ({error})") from error
        self.identity = f"piper {path.name} {path.stat().st_size}"

    def say(self, text: str, file: Path) -> None:
        """Synthesize a sentence."""
        with wave.open(str(file), "wb") as sound:
            self._voice.synthesize_wav(text, sound)


def write_speech(file: Path, samples: np.ndarray, rate: int) -> None:
    """Write mono samples in [-1, 1] as a 16-bit wav."""
    import soundfile

    sound = io.BytesIO()  # in memory first, because soundfile does not report a full disk
    soundfile.write(sound, samples, rate, subtype="PCM_16", format="WAV")
    file.write_bytes(sound.getvalue())


def _engine(module: str, package: str) -> Any:
    try:
        with quiet_imports():
            return importlib.import_module(module)
    except ImportError:
        raise SpeechError(f"{module} is not installed: pip install {package}, or choose one of hibari's") from None


def _digits(number: re.Match[str]) -> str:
    """Separate the digits of a number that is too long to be read as one."""
    return " ".join(number[0].replace(",", ""))
