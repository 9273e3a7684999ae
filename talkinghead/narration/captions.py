"""Split the text of a narration into captions with times."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pysubs2

from talkinghead.media.files import new_output
from talkinghead.narration.timeline import Shot

SUFFIXES = (".srt", ".vtt")
LINE_LENGTH, LINES = 42, 2
"""Characters per line and lines per caption, as usual in broadcasting."""


@dataclass(frozen=True)
class Cue:
    """A caption.

    Attributes:
        text: One or two lines.
        start: Seconds of the video.
        end: Seconds of the video.
    """

    text: str
    start: Fraction
    end: Fraction


def cues_of(shots: Iterable[Shot], fps: Fraction) -> Iterator[Cue]:
    """Yield the captions of shots; those of a long sentence share its time in proportion to their length."""
    for shot in shots:
        parts = split_caption(shot.line.text)
        begins, ends = shot.spoken(fps)
        total, said = sum(map(len, parts)), 0
        for part in parts:
            first, said = said, said + len(part)
            yield Cue(part, begins + (ends - begins) * first / total, begins + (ends - begins) * said / total)


def split_caption(text: str) -> list[str]:
    """Split a sentence into captions of at most two lines of similar length."""
    if not text:
        return []
    count = len(_wrap(text, LINE_LENGTH))
    width, longest = LINE_LENGTH, max(map(len, text.split()))
    while width > max(longest, 10) and len(_wrap(text, width - 1)) == count:  # the narrowest that needs no more lines
        width -= 1
    lines = _wrap(text, width)
    return ["\n".join(lines[first : first + LINES]) for first in range(0, len(lines), LINES)]


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False)


def write_captions(video: Path, cues: Sequence[Cue], *, overwrite: bool = False) -> list[Path]:
    """Write captions beside a video as .srt and .vtt.

    Raises:
        OutputError: A file cannot be written.
    """
    subtitles = pysubs2.SSAFile()
    for cue in cues:
        event = pysubs2.SSAEvent(start=round(cue.start * 1000), end=round(cue.end * 1000))
        event.plaintext = cue.text.replace("{", "(").replace("}", ")")  # braces are commands to pysubs2
        subtitles.append(event)
    files = [video.with_suffix(suffix) for suffix in SUFFIXES]
    with ExitStack() as complete:  # both or none
        for file in files:
            partial = complete.enter_context(new_output(file, overwrite=overwrite))
            partial.write_text(subtitles.to_string(file.suffix[1:]), encoding="utf-8")
    return files
