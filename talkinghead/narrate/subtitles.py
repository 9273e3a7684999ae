"""SRT and WebVTT: each cue is a line that has its time."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pysubs2
from pysubs2 import SSAEvent
from pysubs2.exceptions import Pysubs2Error

from talkinghead.narrate.errors import ScriptError
from talkinghead.narrate.script import Line, Script, Slot


def parse_subtitles(text: str, file: Path) -> Script:
    """Read subtitles.

    Raises:
        ScriptError: They cannot be read, or their times overlap or run backwards.
    """
    try:
        cues = list(pysubs2.SSAFile.from_string(text, format_=file.suffix.lower()[1:]))
    except (Pysubs2Error, ValueError) as error:
        raise ScriptError(f"{file}: no subtitles can be read ({error})") from None
    for number, cue in enumerate(cues, 1):
        if cue.end <= cue.start:
            raise ScriptError(f"{file}: cue {number} ends at {_clock(cue.end)}, before it begins; correct its times")
    for number, (before, after) in enumerate(pairwise(cues), 2):
        if after.start < before.end:
            raise ScriptError(
                f"{file}: cue {number} begins at {_clock(after.start)}, before cue {number - 1} ends at "
                f"{_clock(before.end)}; correct their times"
            )
    return Script(file, tuple(_line(cue) for cue in cues if cue.plaintext.strip()))


def _line(cue: SSAEvent) -> Line:
    return Line(" ".join(cue.plaintext.split()), slot=Slot(cue.start / 1000, cue.end / 1000))


def _clock(milliseconds: int) -> str:
    return pysubs2.time.ms_to_str(milliseconds, fractions=True)
