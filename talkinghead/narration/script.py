"""What is said, by whom, and when: a script, whatever kind of file it came from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from talkinghead.narration.errors import ScriptError

Keyframes = Mapping[Fraction, Mapping[str, float | None]]
"""The sliders that are named at a time in seconds; see `talkinghead.driver.sliders`."""

NARRATOR = "narrator"
"""Who speaks where a script names nobody."""

LONGEST_LINE, LONGEST_DIRECTED = 1_000, 10_000
"""Characters of a line: longer ones are cut up, unless they have keyframes, whose times count from their beginning."""

LONGEST_TITLE = 200
"""Characters of a title that are kept."""

LONGEST_HOURS = 12
"""Of a narration."""
LETTERS_A_SECOND = 15
"""How fast a voice speaks, roughly."""


@dataclass(frozen=True)
class Speaker:
    """Somebody who speaks.

    Attributes:
        name: What the script calls them.
        source: Their portrait; the narration's own unless given.
        voice: Their voice; the narration's own unless given.
        background: What stands behind them; the narration's own unless given.
        face: Which face of the portrait.
    """

    name: str = NARRATOR
    source: Path | None = None
    voice: str | None = None
    background: str | None = None
    face: int | None = None


@dataclass(frozen=True)
class Delivery:
    """How a line is to be played.

    Attributes:
        strengths: Names of `MotionOptions` and their values.
        keyframes: Edits by hand, by the seconds since the line began.
    """

    strengths: Mapping[str, float] = field(default_factory=dict)
    keyframes: Keyframes = field(default_factory=dict)


@dataclass(frozen=True)
class Slot:
    """When a line is to be heard.

    Attributes:
        start: Seconds.
        end: Seconds; it may sound on until the next line begins.
    """

    start: float
    end: float


@dataclass(frozen=True)
class Line:
    """One sentence, or a silence where the text is empty.

    Attributes:
        text: What is said.
        speaker: Who says it: the name of a role.
        chapter: Number of the chapter that it belongs to.
        pause: Seconds of silence after it; the usual ones unless given.
        ends_paragraph: Whether a paragraph ends with it.
        slot: When it is to be heard; one after another unless given.
        delivery: How it is played.
    """

    text: str
    speaker: str = NARRATOR
    chapter: int = 0
    pause: float | None = None
    ends_paragraph: bool = False
    slot: Slot | None = None
    delivery: Delivery = Delivery()


@dataclass(frozen=True)
class Chapter:
    """A part of the narration.

    Attributes:
        title: What players show; nothing where it is empty.
        slide: What is shown beside the speaker.
    """

    title: str = ""
    slide: Path | None = None


@dataclass(frozen=True)
class Script:
    """A narration, before anybody speaks.

    Attributes:
        file: Where it was read.
        lines: What is said, in order.
        chapters: Its parts; lines say which one they belong to.
        speakers: Who speaks, by name.
        title: Of the whole.
        layout: Where the speakers stand, if the script says.
        notes: What a user should know about how it was read.
    """

    file: Path
    lines: tuple[Line, ...]
    chapters: tuple[Chapter, ...] = (Chapter(),)
    speakers: Mapping[str, Speaker] = field(default_factory=lambda: {NARRATOR: Speaker()})
    title: str = ""
    layout: str = ""
    notes: tuple[str, ...] = ()

    @property
    def timed(self) -> bool:
        """Whether lines have their times."""
        return any(line.slot for line in self.lines)

    def files(self) -> list[Path]:
        """Return the script's own file and those that it names; a background may be the name of a colour."""
        named: list[object] = [self.file, *(chapter.slide for chapter in self.chapters), *self.clips()]
        for speaker in self.speakers.values():
            named += [speaker.source, speaker.background, (speaker.voice or "").partition("piper:")[2]]
        return [Path(str(name)) for name in named if name]

    def clips(self) -> set[str]:
        """Return the clips whose head motion its lines borrow."""
        return {str(line.delivery.strengths.get("reference", "")) for line in self.lines} - {""}


def read_script(path: str | os.PathLike[str]) -> Script:
    """Read a script: plain text, Markdown, SRT, VTT or YAML, by the ending of its name.

    Raises:
        InputNotFoundError: There is no such file.
        ScriptError: It is no script, says nothing, is too long, or contradicts itself.
    """
    from talkinghead.narration.decoding import read_text
    from talkinghead.narration.markdown import parse_markdown
    from talkinghead.narration.plain import parse_plain
    from talkinghead.narration.subtitles import parse_subtitles
    from talkinghead.narration.yaml_script import parse_dialogue

    parsers = {
        ".txt": parse_plain,
        ".md": parse_markdown,
        ".markdown": parse_markdown,
        ".srt": parse_subtitles,
        ".vtt": parse_subtitles,
        ".yaml": parse_dialogue,
        ".yml": parse_dialogue,
    }
    file = Path(path)
    parse = parsers.get(file.suffix.lower())
    if parse is None:
        raise ScriptError(f"{file}: not a script that can be read: give {', '.join(parsers)}")
    text, notes = read_text(file)
    script = _printable(parse(text, file))
    if not any(line.text for line in script.lines):
        raise ScriptError(f"{file}: nothing in it to say; write at least one sentence")
    _check_length(script)
    return replace(script, notes=(*notes, *script.notes))


def _printable(script: Script) -> Script:
    """Leave out the control characters that escapes of YAML and HTML can bring, and the rest of very long titles."""
    from talkinghead.narration.decoding import clean

    lines = tuple(replace(line, text=clean(line.text)) for line in script.lines)
    chapters = tuple(replace(chapter, title=clean(chapter.title)[:LONGEST_TITLE]) for chapter in script.chapters)
    return replace(script, lines=lines, chapters=chapters, title=clean(script.title)[:LONGEST_TITLE])


def _check_length(script: Script) -> None:
    longest = max(script.lines, key=lambda line: len(line.text)).text
    if len(longest) > LONGEST_DIRECTED:
        raise ScriptError(
            f"{script.file}: a line with keyframes has {len(longest):,} characters, {LONGEST_DIRECTED:,} is the most; "
            f"cut it up ({longest[:40]!r})"
        )
    ends = [line.slot.end for line in script.lines if line.slot]
    hours = max(ends, default=sum(len(line.text) for line in script.lines) / LETTERS_A_SECOND) / 3600
    if hours > LONGEST_HOURS:
        what = "its last cue ends after" if ends else "it would take about"
        raise ScriptError(
            f"{script.file}: {what} {hours:,.1f} hours; a narration has {LONGEST_HOURS} at most: cut it up"
            + (", or correct its times" if ends else "")
        )
