"""What is said, by whom, and when: a script, whatever kind of file it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

Keyframes = Mapping[Fraction, Mapping[str, float | None]]
"""The sliders that are named at a time in seconds; see `talkinghead.driver.sliders`."""

NARRATOR = "narrator"
"""Who speaks where a script names nobody."""

LONGEST_LINE, LONGEST_DIRECTED = 1_000, 10_000
"""Characters of a line: longer ones are cut up, unless they have keyframes, whose times count from their beginning."""


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
