"""Synthesize the lines of a script; each sentence is kept as 48 kHz mono."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from liveportrait.errors import PortraitError
from talkinghead.errors import AudioError
from talkinghead.media.audio import stream_mono
from talkinghead.media.files import is_full
from talkinghead.media.tempo import Samples, change_tempo
from talkinghead.narration.errors import SpeechError
from talkinghead.narration.options import VoiceOptions
from talkinghead.narration.script import Line, Script
from talkinghead.narration.sentences import pieces
from talkinghead.narration.voices import SpeechEngine, open_voice, write_speech
from talkinghead.narration.work import WorkFolder, key_of

RATE = 48_000
"""Samples per second of synthesized speech."""

LEAD = Fraction(4, 25)
"""Seconds between the start of a shot and its sound, because lips open before they make a sound."""

FASTEST = 2.0
"""Highest speed at which a line is spoken to fit its time."""

LONGEST_PIECE = 400
"""Characters that an engine is given at once; the memory of many grows with the square of the length."""


@dataclass(frozen=True)
class Spoken:
    """A line with its sound.

    Attributes:
        line: The line.
        file: Its sound, mono at `RATE`; None for a silence.
        seconds: Duration of the sound.
    """

    line: Line
    file: Path | None
    seconds: Fraction


def open_voices(script: Script, options: VoiceOptions) -> dict[str, SpeechEngine]:
    """Return the speech engine of every speaker; speakers with the same voice share one.

    Raises:
        SpeechError: A voice does not exist.
    """
    opened: dict[tuple[str, str | None], SpeechEngine] = {}
    voices = {}
    for name, speaker in script.speakers.items():
        command = None if speaker.voice else options.tts_command or None
        asked = (speaker.voice or options.voice, command)
        try:
            voices[name] = opened.get(asked) or opened.setdefault(asked, open_voice(*asked))
        except SpeechError as error:
            where = f"{script.file}, line {speaker.voice_line}: speaker {name}: " if speaker.voice else ""
            raise SpeechError(f"{where}{error}") from error
    return voices


def speak_lines(script: Script, voices: Mapping[str, SpeechEngine], speed: float, work: WorkFolder) -> Iterator[Spoken]:
    """Synthesize a script line by line; lines that are too long for their time are spoken faster, within limits.

    Raises:
        SpeechError: A voice failed.
    """
    for number, line in enumerate(script.lines):
        if not line.text:
            yield Spoken(line, None, Fraction(0))
            continue
        voice = voices[line.speaker]
        file = _spoken(line.text, voice, speed, work)
        seconds = _length(file)
        room = _room(script, number)
        if room is not None and seconds > room:
            faster = speed * float(seconds / room) * 1.01  # the change of tempo is not exact
            file = _spoken(line.text, voice, min(faster, FASTEST), work)
            seconds = _length(file)
        yield Spoken(line, file, seconds)


def _spoken(text: str, voice: SpeechEngine, speed: float, work: WorkFolder) -> Path:
    key = key_of(part="speech", text=text, voice=voice.identity, speed=round(speed, 3))
    return work.made(key, ".wav", lambda file: _speak(text, voice, speed, file))


def _speak(text: str, voice: SpeechEngine, speed: float, file: Path) -> None:
    """Write a sentence at the common sample rate and the requested speed."""
    raw = file.with_suffix(".wav")  # has the same random name, so the work folder can remove it after a crash
    parts = []
    for piece in pieces(text, LONGEST_PIECE) or [text]:
        try:
            _say(voice, piece, raw)
            parts.append(_read(raw, piece))
        finally:
            _discard(raw)
    samples = np.concatenate(parts)
    if speed != 1:
        samples = change_tempo(samples, RATE, min(speed, FASTEST))
    write_speech(file, samples, RATE)


def _say(voice: SpeechEngine, text: str, file: Path) -> None:
    try:
        voice.say(text, file)
    except PortraitError:
        raise
    except Exception as error:  # third-party engines can raise anything
        if is_full(error):
            raise
        raise SpeechError(f"the voice failed for {text[:40]!r} ({type(error).__name__}: {error})") from error


def _discard(file: Path) -> None:
    """Remove whatever an engine has written."""
    if file.is_dir() and not file.is_symlink():
        shutil.rmtree(file)
    else:
        file.unlink(missing_ok=True)


def _read(file: Path, text: str) -> Samples:
    longest = (60 + len(text)) * RATE  # one second per letter is slower than any speech
    parts, length = [np.zeros(0, np.float32)], 0
    try:
        for part in stream_mono(file, RATE):
            parts.append(part)
            length += len(part)
            if length > longest:
                raise SpeechError(f"the voice made more than {longest // RATE} s of sound for {text[:40]!r}; check it")
    except AudioError as error:
        raise SpeechError(f"the voice wrote a file that cannot be read as sound for {text[:40]!r}") from error
    samples = np.concatenate(parts)
    if not samples.size or not np.isfinite(samples).all():
        raise SpeechError(f"the voice said nothing for {text[:40]!r}; change the text or the voice")
    return samples


def _room(script: Script, number: int) -> Fraction | None:
    """Return the longest duration of a line: until the next one begins; None if it has no time."""
    slot, later = script.lines[number].slot, script.lines[number + 1 : number + 2]
    if slot is None or not later:
        return None
    end = later[0].slot.start if later[0].slot else slot.end
    return max(Fraction(end - slot.start) - LEAD, LEAD)


def _length(file: Path) -> Fraction:
    import soundfile

    return Fraction(soundfile.info(file).frames, RATE)
