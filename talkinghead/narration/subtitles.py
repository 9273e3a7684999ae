"""Read SRT and WebVTT: each cue becomes a line with a time."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile
from pathlib import Path

from talkinghead.narration.errors import ScriptError
from talkinghead.narration.script import LONGEST_LINE, Line, Script, Slot
from talkinghead.narration.sentences import is_speakable, pieces

_TIMING = re.compile(r"^[ \t]*-?[0-9][^\n]*?-->[^\n]*$", re.MULTILINE)
_CLOCK = re.compile(r"\s*(-?)(?:([0-9]{1,6}):)?([0-9]{1,2}):([0-9]{1,2})(?:[.,:] ?([0-9]{1,9}))?")
_NUMBER = re.compile(r"(?:\A|\n)[ \t]*[0-9]+[ \t]*\n\Z")
"""The number above the times of an SRT cue."""

_INLINE_TIME = re.compile(r"<[0-9][0-9:.,]*>")
_MARKUP = re.compile(rf"<rt\b[^<>]*>[^<]*|</?[a-zA-Z][^<>]*>|{_INLINE_TIME.pattern}|\{{\\[^{{}}]*\}}")
"""Ruby text, tags, inline times, and ASS commands."""
_SPACES = re.compile(r"\\[Nh]")
_SOUND = re.compile(r"\[[^\[\]]*\]")
_SOUND_ALONE = re.compile(r"\([^()]*[^().!?…\s]\s*\)")
_SUNG = re.compile("[♩♪♫♬🎵🎶]")
_TURN = re.compile(r"(?:^|(?<=\s))>>+\s*", re.MULTILINE)
"""The mark of live captions for a change of speaker."""

_TOGETHER = 100
"""Cues that begin within so many milliseconds are joined."""


@dataclass(frozen=True)
class _Cue:
    """A cue.

    Attributes:
        start: Milliseconds.
        end: Milliseconds.
        lines: The text of each line.
        timed_words: Whether words have times of their own.
    """

    start: int
    end: int
    lines: tuple[str, ...]
    timed_words: bool = False


def parse_subtitles(text: str, file: Path) -> Script:
    """Read subtitles.

    Identifiers, numbers, comments, tags, cue settings, descriptions of sounds and lyrics are left out. Cues are sorted
    and end where the next one begins; cues without a usable time are left out. In roll-up captions, where lines stay
    while new ones appear below them, each line is read once.

    Raises:
        ScriptError: No cue can be read.
    """
    read = list(_cues(text, vtt=text.startswith("WEBVTT") or file.suffix.lower() == ".vtt"))
    usable = sorted((cue for _, cue in read if cue), key=lambda cue: cue.start)
    if not usable:
        raise ScriptError(f"{file}: no cue with a usable time; one looks like 00:00:01,000 --> 00:00:04,000")
    faulty = [number for number, cue in read if cue is None]
    notes = [f"{file}: cues without a usable time were left out: {len(faulty)}, first in line {n}" for n in faulty[:1]]
    lines = tuple(line for cue in _ordered(_unrolled(usable)) for line in _lines(cue))
    return Script(file, lines, notes=tuple(notes))


def _cues(text: str, *, vtt: bool) -> Iterator[tuple[int, _Cue | None]]:
    """Yield each cue with the number of its line; None for one whose times cannot be used."""
    timings = list(_TIMING.finditer(text))
    borders = [*(timing.start() for timing in timings), len(text)]
    number, counted = 1, 0
    for timing, end in zip(timings, borders[1:], strict=True):
        number += text.count("\n", counted, timing.start())
        counted = timing.start()
        body = text[timing.end() + 1 : end]
        if vtt:
            body = "\n".join(takewhile(bool, body.split("\n")))
        elif end < len(text):
            body = _NUMBER.sub("", body)
        before, _, after = timing[0].partition("-->")
        start, stop = _milliseconds(before), _milliseconds(after)
        if start is None or stop is None or stop <= max(start, 0):
            yield number, None
        else:
            yield number, _Cue(max(start, 0), stop, _words(body), bool(_INLINE_TIME.search(body)))


def _milliseconds(clock: str) -> int | None:
    found = _CLOCK.match(clock)
    if not found:
        return None
    sign, hours, minutes, seconds, part = found.groups("0")
    whole = (int(hours) * 60 + int(minutes)) * 60 + int(seconds)
    return (-1 if sign == "-" else 1) * round((whole + int(part) / 10 ** len(part)) * 1000)


def _words(body: str) -> tuple[str, ...]:
    """Return the spoken lines of a cue."""
    plain = _SPACES.sub(" ", html.unescape(_MARKUP.sub("", body)))
    plain = "\n".join(line for line in _SOUND.sub("", plain).split("\n") if not _SUNG.search(line))
    if _SOUND_ALONE.fullmatch(plain.strip()):
        return ()
    lines = (" ".join(line.split()) for line in _TURN.sub("", plain).split("\n"))
    return tuple(line for line in lines if is_speakable(line))


def _unrolled(cues: Sequence[_Cue]) -> list[_Cue]:
    """Remove lines repeated from the cue before, if these are roll-up captions."""
    shown: tuple[str, ...] = ()
    fresh, repeats = [], 0
    for cue in cues:
        stay = max(n for n in range(min(len(shown), len(cue.lines)) + 1) if shown[len(shown) - n :] == cue.lines[:n])
        fresh.append(replace(cue, lines=cue.lines[stay:]))
        shown, repeats = cue.lines or shown, repeats + bool(stay)
    rolls = any(cue.timed_words for cue in cues) or (repeats > 1 and repeats * 2 >= len(cues))
    return fresh if rolls else list(cues)


def _ordered(cues: Iterable[_Cue]) -> list[_Cue]:
    """Join cues that begin together, shorten those that overlap the next, and drop those without text."""
    joined: list[_Cue] = []
    for cue in cues:
        if joined and cue.lines and cue.start < joined[-1].start + _TOGETHER:
            last = joined[-1]
            joined[-1] = replace(last, end=max(last.end, cue.end), lines=last.lines + cue.lines)
        elif cue.lines:
            joined.append(cue)
    ends = [min(cue.end, after.start) for cue, after in pairwise(joined)]
    return [replace(cue, end=end) for cue, end in zip(joined, [*ends, *(cue.end for cue in joined[-1:])], strict=True)]


def _lines(cue: _Cue) -> Iterator[Line]:
    """Yield a cue as a line, or a very long one as several that share its time in proportion to their length."""
    parts = pieces(" ".join(cue.lines), LONGEST_LINE)
    letters, said = sum(map(len, parts)), 0
    for part in parts:
        start, said = said, said + len(part)
        times = (cue.start + (cue.end - cue.start) * share / letters for share in (start, said))
        yield Line(part, slot=Slot(*(time / 1000 for time in times)))
