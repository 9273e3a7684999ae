"""YAML: speakers with their portraits and voices, and who says what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from talkinghead.errors import InputNotFoundError, OptionError
from talkinghead.narrate.errors import ScriptError
from talkinghead.narrate.options import read_layout
from talkinghead.narrate.plain import lines_of
from talkinghead.narrate.script import NARRATOR, Chapter, Direction, Keyframes, Line, Role, Script
from talkinghead.options import MotionOptions

_STRENGTHS = {field.name for field in fields(MotionOptions)}


def parse_dialogue(text: str, file: Path) -> Script:
    """Read a YAML script; docs/narrate.md describes it.

    Raises:
        ScriptError: It is no YAML, or says something that has no meaning here.
        InputNotFoundError: A file that it names is not there.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ScriptError(f"{file}: no YAML can be read ({error}); correct it") from None
    top = _mapping(content, f"{file}: the script", {"title", "layout", "speakers", "script"})
    try:
        layout = read_layout(str(top.get("layout") or ""))
    except OptionError as error:
        raise ScriptError(f"{file}: {error}") from None
    roles = _roles(top.get("speakers") or {}, file)
    reader = _Reader(file, roles)
    items = top.get("script")
    if not isinstance(items, list):
        raise ScriptError(f"{file}: has no list called script; put there what is said, line by line")
    lines = [line for number, item in enumerate(items, 1) for line in reader.read(item, number)]
    return Script(file, tuple(lines), tuple(reader.chapters), roles, str(top.get("title") or ""), layout)


def _roles(given: Any, file: Path) -> dict[str, Role]:
    roles = {}
    for name, about in _mapping(given, f"{file}: speakers", None).items():
        values = _mapping(about or {}, f"{file}: speaker {name!r}", {each.name for each in fields(Role)} - {"name"})
        avatar, background = values.get("avatar"), values.get("background")
        roles[name] = Role(
            name=name,
            avatar=_beside(file, avatar) if avatar else None,
            voice=values.get("voice"),
            tts_command=values.get("tts_command"),
            background=_background(file, str(background)) if background else None,
            face=values.get("face"),
        )
    return roles or {NARRATOR: Role()}


@dataclass
class _Reader:
    """Reads one item after another and remembers whose turn it is."""

    file: Path
    roles: Mapping[str, Role]
    chapters: list[Chapter] = field(default_factory=lambda: [Chapter()])
    begun: bool = False

    def __post_init__(self) -> None:
        self.speaker = next(iter(self.roles))

    def read(self, item: Any, number: int) -> Iterator[Line]:
        """Yield the lines of one item of the script."""
        where = f"{self.file}: item {number} of the script"
        if isinstance(item, str):
            item = {self.speaker: item}
        values = dict(_mapping(item, where, None))
        if "chapter" in values or "slide" in values:
            self._open_chapter(values, where)
        if set(values) == {"pause"}:
            yield Line("", self.speaker, self._chapter, pause=_seconds(values["pause"], where))
        elif values:
            yield from self._lines(values, where)

    @property
    def _chapter(self) -> int:
        return len(self.chapters) - 1

    def _open_chapter(self, values: dict[str, Any], where: str) -> None:
        slide = values.pop("slide", None)
        chapter = Chapter(str(values.pop("chapter", "")), _beside(self.file, slide) if slide else None)
        if values:
            raise ScriptError(f"{where}: a chapter stands for itself; give {next(iter(values))!r} an item of its own")
        self.chapters = [*self.chapters, chapter] if self.begun else [chapter]
        self.begun = True

    def _lines(self, values: dict[str, Any], where: str) -> Iterator[Line]:
        known = _STRENGTHS | {"keyframes", "pause"}
        names = [name for name in values if name not in known]
        if len(names) != 1 or names[0] not in self.roles:
            unknown = next((name for name in names if name not in self.roles), "nobody")
            speakers = ", ".join(self.roles)
            raise ScriptError(f"{where}: {unknown!r} is neither a speaker ({speakers}) nor a setting of a line")
        self.speaker, self.begun = names[0], True
        _check(MotionOptions, {name: values[name] for name in values if name in _STRENGTHS}, where)
        direction = Direction(
            {name: values[name] for name in values if name in _STRENGTHS}, self._keyframes(values, where)
        )
        text = str(values[self.speaker])
        # Times of keyframes count from the beginning of the line, so such a line stays in one piece.
        lines = [Line(" ".join(text.split()))] if direction.keyframes else list(lines_of([text], self._chapter))
        lines = [replace(line, speaker=self.speaker, chapter=self._chapter, direction=direction) for line in lines]
        if lines and "pause" in values:
            lines[-1] = replace(lines[-1], pause=_seconds(values["pause"], where))
        yield from lines

    def _keyframes(self, values: dict[str, Any], where: str) -> Keyframes:
        if "keyframes" not in values:
            return {}
        from talkinghead.moves import parse_keyframes

        try:
            return parse_keyframes(values["keyframes"], f"{where}, keyframes")
        except OptionError as error:
            raise ScriptError(str(error)) from None


def _mapping(given: Any, where: str, allowed: set[str] | None) -> Mapping[str, Any]:
    if not isinstance(given, dict):
        raise ScriptError(f"{where} must be a mapping of names to values, not {type(given).__name__}")
    unknown = [name for name in given if allowed is not None and name not in allowed]
    if unknown:
        raise ScriptError(f"{where}: {unknown[0]!r} means nothing here; it may say {', '.join(sorted(allowed or ()))}")
    return {str(name): value for name, value in given.items()}


def _check(options: type, values: Mapping[str, Any], where: str) -> None:
    """Make sure that values are what an options class takes."""
    try:
        options(**values)
    except (TypeError, ValueError) as error:
        raise ScriptError(f"{where}: {error}") from None


def _seconds(given: Any, where: str) -> float:
    if not isinstance(given, int | float) or not 0 <= given <= 600:
        raise ScriptError(f"{where}: {given!r} is no time in seconds between 0 and 600")
    return float(given)


def _beside(file: Path, name: str) -> Path:
    """Return a path that is written as seen from the script."""
    path = file.parent / name
    if not path.exists():
        raise InputNotFoundError(f"{path}: no such file; {file} names it")
    return path


def _background(file: Path, given: str) -> str:
    path = file.parent / given
    return str(path) if path.exists() else given
