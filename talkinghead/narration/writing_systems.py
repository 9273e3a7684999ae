"""Check whether voices can read the writing systems of a text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import replace

from talkinghead.narration.errors import ScriptError
from talkinghead.narration.script import Line, Script
from talkinghead.narration.voices import SpeechEngine

_NAMES = {"CJK": "Chinese characters", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HANGUL": "Korean"}
"""Names of writing systems in messages, where Unicode's are not clear."""

_GREEK_SYMBOL = re.compile(r"(?<![^\W\d_a-zA-Z])[\u0370-\u03ff](?![^\W\d_a-zA-Z])")
"""A single Greek letter, as in formulas and units, which every voice can read."""


def fit_to_voices(script: Script, voices: Mapping[str, SpeechEngine]) -> Script:
    """Leave out words that a voice cannot read, and add a note.

    Args:
        script: The script.
        voices: The voice of each speaker.

    Raises:
        ScriptError: Most words of a sentence cannot be read by its voice.
    """
    lines = list(script.lines)
    left_out: list[str] = []
    for number, line in enumerate(lines):
        unread = unread_words(line.text, voices[line.speaker].reads)
        if unread:
            _check_mostly_read(script, number, unread)
            left_out += [word for word in dict.fromkeys(unread) if word not in left_out]
            lines[number] = replace(line, text=" ".join(word for word in line.text.split() if word not in unread))
    if not left_out:
        return script
    note = (
        f"{script.file}: {_named(left_out)} cannot be read by the voice, so these words are left out of speech and "
        f"captions: {' '.join(left_out)[:80]}"
    )
    return replace(script, lines=tuple(lines), notes=(*script.notes, note))


def unread_words(text: str, reads: Collection[str] | None) -> list[str]:
    """Return the words of a text that cannot be read.

    Args:
        text: Any text.
        reads: The writing systems that can be read, by the first words of their letters' Unicode names, such as
            "LATIN"; None for all.
    """
    if reads is None or text.isascii():
        return []
    return [word for word in text.split() if not writing_systems(word) <= set(reads)]


def writing_systems(text: str) -> set[str]:
    """Return the first words of the Unicode names of a text's letters, such as "LATIN", except single Greek ones."""
    plain = _GREEK_SYMBOL.sub("", unicodedata.normalize("NFKC", text))
    letters = (letter for letter in plain if unicodedata.category(letter) in {"Lu", "Ll", "Lt", "Lo"})
    return {unicodedata.name(letter, "unknown").split()[0] for letter in letters}


def _check_mostly_read(script: Script, number: int, unread: list[str]) -> None:
    line = script.lines[number]
    words = [word for word in line.text.split() if any(letter.isalpha() for letter in word)]
    if len(unread) * 2 > len(words):
        raise ScriptError(
            f"{script.file}: {'cue' if line.slot else 'sentence'} {number + 1} ({_start(line)!r}) is written in "
            f"{_named(unread)}, which its voice cannot read; give --voice kokoro:... or piper:..., --tts-command, "
            "or a recording with --audio"
        )


def _start(line: Line) -> str:
    return line.text if len(line.text) <= 40 else f"{line.text[:39]}…"


def _named(words: list[str]) -> str:
    """Return the names of the writing systems of words."""
    found = sorted(writing_systems(" ".join(words)) - {"LATIN"})
    names = dict.fromkeys(_NAMES.get(name, name.capitalize()) for name in found)
    return " and ".join([", ".join([*names][:-1]), [*names][-1]] if len(names) > 1 else names)
