"""Tell what a narration of a script will have, before anything is spoken: chapters, captions and slides."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from talkinghead.narration.assembly import find_slides
from talkinghead.narration.captions import split_caption
from talkinghead.narration.options import NarrationOptions
from talkinghead.narration.read import LETTERS_A_SECOND, read_script
from talkinghead.options import StrPath


@dataclass(frozen=True)
class ChapterOutline:
    """A chapter of a narration.

    Attributes:
        title: Its title; may be empty.
        captions: Its captions in order, each of one or two lines.
        slide: Its slide, or None.
    """

    title: str
    captions: tuple[str, ...]
    slide: Path | None = None


@dataclass(frozen=True)
class Outline:
    """The parts of a narration.

    Attributes:
        title: The title of the video; may be empty.
        chapters: Its chapters in order.
        seconds: About how long it will be.
        notes: Remarks about how the script was read.
    """

    title: str
    chapters: tuple[ChapterOutline, ...]
    seconds: float
    notes: tuple[str, ...] = ()


def outline(script: StrPath, *, options: NarrationOptions | None = None) -> Outline:
    """Read a script and tell what its narration will have.

    Args:
        script: Text, Markdown, SRT, VTT or YAML.
        options: The folder of slides and the speed of the voice.

    Raises:
        PortraitError: The script cannot be read, or a chapter has no slide.

    Example:
        >>> import talkinghead
        >>> chapters = talkinghead.outline("script.md").chapters
    """
    options = options or NarrationOptions()
    read = read_script(script)
    captions: list[list[str]] = [[] for _ in read.chapters]
    for line in read.lines:
        captions[line.chapter] += split_caption(line.text)
    parts = zip_longest(read.chapters, captions, find_slides(read, options.scene))
    chapters = [ChapterOutline(chapter.title, tuple(shown), slide) for chapter, shown, slide in parts]
    ends = [line.slot.end for line in read.lines if line.slot]
    letters = sum(len(line.text) for line in read.lines)
    seconds = max(ends, default=letters / LETTERS_A_SECOND / options.voice.speed)
    return Outline(read.title, tuple(chapters), float(seconds), read.notes)
