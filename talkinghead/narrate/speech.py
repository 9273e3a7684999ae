"""Lines become sound: each sentence is spoken once and kept as 48 kHz mono."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from talkinghead.errors import AudioError
from talkinghead.media.audio import stream_frames
from talkinghead.media.tempo import Samples, change_tempo
from talkinghead.narrate.errors import ScriptError, SpeechError
from talkinghead.narrate.options import VoiceOptions
from talkinghead.narrate.script import Line, Script
from talkinghead.narrate.voices import Voice, open_voice, write_speech
from talkinghead.narrate.work import WorkFolder, key_of

RATE = 48_000
"""Samples a second of everything that is spoken."""

LEAD = Fraction(4, 25)
"""Seconds of a picture before a line is heard: lips part before they sound."""

FASTEST = 2.0
"""How much faster than usual a line may be spoken to fit its time."""


@dataclass(frozen=True)
class Spoken:
    """A line with its sound.

    Attributes:
        line: What was said.
        file: Its sound, mono at `RATE`; None for a silence.
        seconds: How long that is.
    """

    line: Line
    file: Path | None
    seconds: Fraction


def open_voices(script: Script, options: VoiceOptions) -> dict[str, Voice]:
    """Open the voice of every role, each once.

    Raises:
        SpeechError: There is no such voice.
    """
    opened: dict[tuple[str, str | None], Voice] = {}
    cast = {}
    for name, role in script.roles.items():
        command = role.tts_command or (None if role.voice else options.tts_command or None)
        asked = (role.voice or options.voice, command)
        try:
            cast[name] = opened.get(asked) or opened.setdefault(asked, open_voice(*asked))
        except SpeechError as error:
            raise SpeechError(f"speaker {name}: {error}" if len(script.roles) > 1 else str(error)) from error
    return cast


def speak_lines(script: Script, voices: Mapping[str, Voice], speed: float, work: WorkFolder) -> Iterator[Spoken]:
    """Speak a script, line by line.

    Raises:
        SpeechError: A voice failed.
        ScriptError: A line is too long for its time.
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
            file = _fitted(script, number, speed * float(seconds / room), voice, work)
            seconds = _length(file)
        yield Spoken(line, file, seconds)


def _spoken(text: str, voice: Voice, speed: float, work: WorkFolder) -> Path:
    key = key_of(part="speech", text=text, voice=voice.identity, speed=round(speed, 3))
    return work.made(key, ".wav", lambda file: _speak(text, voice, speed, file))


def _fitted(script: Script, number: int, speed: float, voice: Voice, work: WorkFolder) -> Path:
    text = script.lines[number].text
    if speed > FASTEST:
        raise ScriptError(
            f"{script.file}: cue {number + 1} is too short for its words: they need to be spoken {speed:.1f} times as "
            f"fast as usual, and {FASTEST:g} is the most; give it more time or fewer words ({text[:40]!r})"
        )
    return _spoken(text, voice, speed * 1.01, work)  # the stretching is not exact to the sample


def _speak(text: str, voice: Voice, speed: float, file: Path) -> None:
    """Write a sentence at the common rate and the right speed."""
    raw = file.with_name(f"{file.stem}-raw.wav")
    try:
        voice.say(text, raw)
        samples = _read(raw, text)
    finally:
        raw.unlink(missing_ok=True)
    if speed != 1:
        samples = change_tempo(samples, RATE, min(speed, FASTEST))
    write_speech(file, samples, RATE)


def _read(file: Path, text: str) -> Samples:
    try:
        parts = [frame.to_ndarray().mean(axis=0) for frame in stream_frames(file, RATE)]
    except AudioError as error:
        raise SpeechError(f"what the voice wrote for {text!r} is no sound that can be read") from error
    samples = np.concatenate([np.zeros(0, np.float32), *parts])
    if not samples.size or not np.isfinite(samples).all():
        raise SpeechError(f"the voice said nothing for {text!r}; change the text or the voice")
    return samples


def _room(script: Script, number: int) -> Fraction | None:
    """Return how long a line may sound: until the next one begins; None where it has no time."""
    slot, later = script.lines[number].slot, script.lines[number + 1 :]
    if slot is None:
        return None
    end = later[0].slot.start if later and later[0].slot else slot.end if later else None
    return None if end is None else max(Fraction(end - slot.start) - LEAD, LEAD)


def _length(file: Path) -> Fraction:
    import soundfile

    return Fraction(soundfile.info(file).frames, RATE)
