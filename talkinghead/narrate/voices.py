"""Voices: text in, a sound file out. Each engine is one small class; any other program does by its command line."""

from __future__ import annotations

import importlib
import shlex
import subprocess
import wave
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from talkinghead.narrate.errors import SpeechError

_COMMAND_SECONDS = 600
"""How long a command may take for one sentence."""


class Voice(Protocol):
    """Somebody who can read a sentence aloud.

    Attributes:
        identity: What decides how it sounds: the engine, its version, the voice. A part of what finished parts are
            kept by.
    """

    identity: str

    def say(self, text: str, file: Path) -> None:
        """Write a sentence's sound.

        Args:
            text: One sentence.
            file: The wav to write.

        Raises:
            SpeechError: The voice cannot.
        """
        ...


def open_voice(name: str, command: str | None = None) -> Voice:
    """Return a voice by its name, "heart", "hibari:heart", "kokoro:af_heart" or "piper:voice.onnx", or a command.

    Raises:
        SpeechError: There is no such voice, or its engine is not installed.
    """
    if command:
        return CommandVoice(command)
    engine, colon, voice = name.partition(":")
    if not colon:
        return HibariVoice(name)
    engines = {"hibari": HibariVoice, "kokoro": KokoroVoice, "piper": PiperVoice}
    if engine not in engines or not voice:
        raise SpeechError(f"voice {name!r}: give a voice of hibari, or ENGINE:VOICE with {', '.join(engines)}")
    return engines[engine](voice)


class HibariVoice:
    """The voices of hibari-tts: offline, English; "heart" comes with it, the others are fetched once."""

    def __init__(self, name: str) -> None:
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
        write_speech(file, self._hibari(text, seed=0), self._hibari.sample_rate)


class KokoroVoice:
    """The voices of Kokoro-82M, where its package is installed; the first letter of a voice is its language."""

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
        try:
            parts = [np.asarray(audio, np.float32) for _, _, audio in self._pipeline(text, voice=self._voice)]
        except Exception as error:
            raise SpeechError(f"voice kokoro:{self._voice} cannot say {text!r} ({error})") from error
        write_speech(file, np.concatenate([np.zeros(0, np.float32), *parts]), 24_000)


class PiperVoice:
    """A voice of Piper: the .onnx file of a voice, its .json beside it."""

    def __init__(self, model: str) -> None:
        piper = _engine("piper", "piper-tts")
        path = Path(model)
        if not path.is_file():
            raise SpeechError(f"{path}: no such voice; fetch one with python -m piper.download_voices")
        self._voice = piper.PiperVoice.load(str(path))
        self.identity = f"piper {path.name} {path.stat().st_size}"

    def say(self, text: str, file: Path) -> None:
        """Write a sentence's sound."""
        with wave.open(str(file), "wb") as sound:
            self._voice.synthesize_wav(text, sound)


class CommandVoice:
    """Any program that reads a text and writes a wav; no shell is involved."""

    def __init__(self, command: str) -> None:
        """Take a command line in which {text} and {wav} stand for what to say and where to write it.

        Raises:
            SpeechError: Its quotes do not match.
        """
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise SpeechError(f"tts_command {command!r} cannot be read ({error})") from None
        self._command, self.identity = command, f"command {command}"

    def say(self, text: str, file: Path) -> None:
        """Run the command."""
        words = [word.replace("{text}", text).replace("{wav}", str(file)) for word in self._words]
        try:
            ended = subprocess.run(words, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False)
        except OSError as error:
            raise SpeechError(f"tts_command: {words[0]!r} cannot be started ({error.strerror})") from None
        except subprocess.TimeoutExpired:
            raise SpeechError(f"tts_command: took more than {_COMMAND_SECONDS} s for {text!r}") from None
        if ended.returncode:
            said = (ended.stderr or ended.stdout).strip().splitlines()[-1:] or ["it said nothing"]
            raise SpeechError(f"tts_command: failed with code {ended.returncode} for {text!r} ({said[0]})")
        if not file.exists() or not file.stat().st_size:
            raise SpeechError(f"tts_command: wrote nothing for {text!r}; it must write the file that {{wav}} names")


def write_speech(file: Path, samples: np.ndarray, rate: int) -> None:
    """Write mono samples in [-1, 1] as 16 bit."""
    import soundfile

    soundfile.write(file, samples, rate, subtype="PCM_16", format="WAV")


def _engine(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise SpeechError(f"{module} is not installed: pip install {package}, or choose one of hibari's") from None
