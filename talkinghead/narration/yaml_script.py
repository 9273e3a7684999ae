"""Read YAML scripts: speakers with their portraits and voices, and their lines."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, cast

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from talkinghead.driver.keyframes import Keyframes, TimedSliders
from talkinghead.errors import InputNotFoundError
from talkinghead.inputs.schema import Name, Schema, beside, check, number, whole
from talkinghead.inputs.yaml_files import Document, parse_document
from talkinghead.narration.errors import ScriptError
from talkinghead.narration.options import read_colour, read_layout
from talkinghead.narration.plain import lines_of
from talkinghead.narration.script import NARRATOR, Chapter, Delivery, Line, Script, Speaker
from talkinghead.options import MotionOptions

_STRENGTHS = {field.name for field in fields(MotionOptions)}
_LONGEST_SECONDS, _LONGEST_KEYFRAMES = 600, 3600
_MOST_FACES = 1000


def _there(name: str | Path, info: ValidationInfo) -> Path:
    """Return the path of a file named in a script, relative to the script."""
    script: Path = info.context.file  # type: ignore[union-attr]
    path = beside(script, name)
    if not os.path.exists(path):
        raise InputNotFoundError(f"{path}: no such file; {script} names it")
    return path


def _background(given: str, info: ValidationInfo) -> str:
    return given if read_colour(given) else str(_there(given, info))


def _voice(given: str, info: ValidationInfo) -> str:
    engine, _, voice = given.partition(":")
    return f"piper:{_there(voice, info)}" if engine == "piper" and voice else given


def _strengths(given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    """Check the settings of a line, which are the motion options of the same names."""
    if given.get("reference"):
        given = {**given, "reference": str(_there(given["reference"], info))}
    read = MotionOptions(**given)
    return {name: getattr(read, name) for name in given}


def _within_reach(given: Keyframes) -> Keyframes:
    if max(given) > _LONGEST_KEYFRAMES:
        raise ValueError(f"keyframes of a line go to {_LONGEST_KEYFRAMES} s at most")
    return given


_File = Annotated[Path, AfterValidator(_there)]
_Seconds = Annotated[float, number("pause", 0, _LONGEST_SECONDS)]


class _Speaker(Schema):
    """A speaker under `speakers`."""

    former_names: ClassVar = {"avatar": "source", "image": "source"}
    refused_names: ClassVar = {"tts_command": "a script may not name a program to run; give --tts-command yourself"}

    source: _File | None = None
    voice: Annotated[Name, AfterValidator(_voice)] | None = None
    background: Annotated[Name, AfterValidator(_background)] | None = None
    face: Annotated[int, whole("face", 0, _MOST_FACES)] | None = None


class _Chapter(Schema):
    """An item that begins a chapter."""

    chapter: Name | None = None
    slide: _File | None = None


class _Pause(Schema):
    """An item that inserts silence."""

    pause: _Seconds


class _Said(Schema):
    """An item that is spoken, without its speaker."""

    text: str
    strengths: Annotated[dict[str, Any], AfterValidator(_strengths)]
    keyframes: Annotated[TimedSliders, AfterValidator(_within_reach)] | None = None
    pause: _Seconds | None = None


class _Top(Schema):
    """The whole file."""

    title: Name | None = None
    layout: Annotated[str, BeforeValidator(lambda given: read_layout(given or ""))] = ""
    speakers: dict[Name, _Speaker] | None = None
    script: Annotated[list[Any], Field(min_length=1)]


def parse_dialogue(text: str, file: Path) -> Script:
    """Read a YAML script; docs/narrate.md describes it.

    Raises:
        ScriptError: The text is not YAML, or has unknown or invalid content.
        InputNotFoundError: A file that it names does not exist.
    """
    document = parse_document(text, file, ScriptError)
    top: _Top = check(_Top, document, ScriptError)
    speakers = {
        name: Speaker(name, **dict(about), voice_line=document.lines.get(("speakers", name, "voice"), 1))
        for name, about in (top.speakers or {NARRATOR: _Speaker()}).items()
    }
    reader = _Reader(document, speakers)
    lines = [line for number, item in enumerate(top.script) for line in reader.read(item, number)]
    return Script(file, tuple(lines), tuple(reader.chapters), speakers, top.title or "", top.layout)


@dataclass
class _Reader:
    """Reads one item after another and keeps track of the current speaker and chapter."""

    document: Document
    speakers: Mapping[str, Speaker]
    chapters: list[Chapter] = field(default_factory=lambda: [Chapter()])
    begun: bool = False

    def __post_init__(self) -> None:
        self.speaker = next(iter(self.speakers))

    def read(self, item: Any, number: int) -> Iterator[Line]:
        """Yield the lines of one item of the script."""
        place = ("script", number)
        if isinstance(item, str):
            item = {self.speaker: item}
        if not isinstance(item, dict):
            raise self.document.fault(place, "must be a text, or a mapping of names to values", ScriptError)
        if "chapter" in item or "slide" in item:
            self._open_chapter(check(_Chapter, self.document, ScriptError, item, place))
        elif set(item) == {"pause"}:
            pause = check(_Pause, self.document, ScriptError, item, place).pause
            yield Line("", self.speaker, self._chapter, pause=pause)
        else:
            self.speaker, self.begun = self._speaker(item, place), True
            yield from self._lines(check(_Said, self.document, ScriptError, self._said(item), place))

    @property
    def _chapter(self) -> int:
        return len(self.chapters) - 1

    def _open_chapter(self, given: _Chapter) -> None:
        chapter = Chapter(given.chapter or "", given.slide)
        if not self.begun:
            self.chapters.clear()
        self.chapters.append(chapter)
        self.begun = True

    def _speaker(self, item: dict[str, Any], place: tuple[str | int, ...]) -> str:
        names = [name for name in item if name not in _STRENGTHS | {"keyframes", "pause"}]
        if len(names) != 1 or names[0] not in self.speakers:
            unknown = next((name for name in names if name not in self.speakers), "nobody")
            said = f"{unknown!r} is neither a speaker ({', '.join(self.speakers)}) nor a setting of a line"
            raise self.document.fault(place, said, ScriptError)
        return names[0]

    def _said(self, item: dict[str, Any]) -> dict[str, Any]:
        strengths = {name: value for name, value in item.items() if name in _STRENGTHS}
        timing = {name: value for name, value in item.items() if name in {"keyframes", "pause"}}
        return {"text": item[self.speaker], "strengths": strengths, **timing}

    def _lines(self, said: _Said) -> Iterator[Line]:
        delivery = Delivery(said.strengths, cast(Keyframes, said.keyframes or {}))
        # Times of keyframes count from the beginning of the line, so such a line is not split.
        whole = [Line(" ".join(said.text.split()))] if said.keyframes else None
        lines = whole or list(lines_of([said.text], self._chapter))
        lines = [replace(line, speaker=self.speaker, chapter=self._chapter, delivery=delivery) for line in lines]
        if lines and said.pause is not None:
            lines[-1] = replace(lines[-1], pause=said.pause)
        yield from lines
