"""The script of a narration, independent of its file format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

Keyframes = Mapping[Fraction, Mapping[str, float | None]]
"""Slider values by time in seconds; see `talkinghead.driver.sliders`."""

NARRATOR = "narrator"
"""The name of the speaker if a script names none."""

LONGEST_LINE, LONGEST_DIRECTED = 1_000, 10_000
"""Longest line in characters: longer ones are split; lines with keyframes are never split, but may be longer."""


@dataclass(frozen=True)
class Speaker:
    """A speaker.

    Attributes:
        name: The name in the script.
        source: The portrait; None for the narration's default.
        voice: The voice; None for the narration's default.
        background: The background; None for the narration's default.
        face: The number of the face in the portrait; None for the narration's default.
        voice_line: The number of the script's line that names the voice.
    """

    name: str = NARRATOR
    source: Path | None = None
    voice: str | None = None
    background: str | None = None
    face: int | None = None
    voice_line: int = 1


@dataclass(frozen=True)
class Delivery:
    """Settings of the motion during a line.

    Attributes:
        strengths: Motion options by their names in `MotionOptions`.
        keyframes: Slider values by seconds since the start of the line.
    """

    strengths: Mapping[str, float] = field(default_factory=dict)
    keyframes: Keyframes = field(default_factory=dict)


@dataclass(frozen=True)
class Slot:
    """The time of a line.

    Attributes:
        start: Seconds.
        end: Seconds; the sound may last until the next line begins.
    """

    start: float
    end: float


@dataclass(frozen=True)
class Line:
    """One sentence, or a silence if the text is empty.

    Attributes:
        text: The text.
        speaker: The name of the speaker.
        chapter: Index of its chapter.
        pause: Seconds of silence after it; None for the default.
        ends_paragraph: Whether it is the last one of a paragraph.
        slot: Its time; None for directly after the line before.
        delivery: Settings of the motion.
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
        title: The title in players; may be empty.
        slide: The picture beside the speaker, or None.
    """

    title: str = ""
    slide: Path | None = None


@dataclass(frozen=True)
class Script:
    """A script.

    Attributes:
        file: The file that it was read from.
        lines: The lines in order.
        chapters: The chapters; lines refer to them by index.
        speakers: The speakers by name.
        title: The title of the video; may be empty.
        layout: The name of the layout; empty for the default.
        notes: Remarks about how it was read.
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
        """Whether lines have times."""
        return any(line.slot for line in self.lines)

    def files(self) -> list[Path]:
        """Return the script's file and all files that it names; a background may also be the name of a colour."""
        named: list[object] = [self.file, *(chapter.slide for chapter in self.chapters), *self.clips()]
        for speaker in self.speakers.values():
            named += [speaker.source, speaker.background, (speaker.voice or "").partition("piper:")[2]]
        return [Path(str(name)) for name in named if name]

    def clips(self) -> set[str]:
        """Return the reference clips of its lines."""
        return {str(line.delivery.strengths.get("reference", "")) for line in self.lines} - {""}
