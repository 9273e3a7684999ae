"""Read users' YAML files; every value is text until a schema converts it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from liveportrait.errors import PortraitError
from talkinghead.media.files import require_file

MAX_BYTES = 2_000_000
"""Largest file in bytes."""

_MAX_DEPTH = 20
_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the first is fast, but not in every build
_NOTHING = {"", "~", "null", "Null", "NULL"}
_DATE = re.compile(r"(\d{4})-(\d\d?)-(\d\d?)([Tt\s].*)?", re.ASCII)
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")

Place = tuple[str | int, ...]
"""The path to a value: names in mappings and indices in lists."""


@dataclass(frozen=True)
class Document:
    """The content of a YAML file.

    Attributes:
        file: The file that it was read from.
        content: Mappings, lists and texts; None for empty values.
        lines: The line number of each value by its place.
    """

    file: Path
    content: Any
    lines: Mapping[Place, int]

    def fault(self, place: Place, said: str, wrong: type[PortraitError]) -> PortraitError:
        """Return an error about a place; parts of the place that the file does not have are ignored."""
        known: Place = ()
        for part in place:
            known = (*known, part) if (*known, part) in self.lines else known
        names = [f"item {part + 1}" if isinstance(part, int) else part for part in known]
        if names and said.startswith(f"{names[-1]} "):
            names.pop()
        where = f"{', '.join(names)}: " if names else ""
        return wrong(f"{self.file}, line {self.lines.get(known, 1)}: {where}{said}")


def read_document(path: str | Path, wrong: type[PortraitError]) -> Document:
    """Read a YAML file.

    Args:
        path: The file.
        wrong: The error to raise if it is not a YAML file.

    Raises:
        InputNotFoundError: The file does not exist.
    """
    file = require_file(path, wrong)
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise wrong(f"{file}: cannot be read ({error.strerror}); check its permissions") from None
    except UnicodeDecodeError:
        raise wrong(f"{file}: not a text in UTF-8; save it as one") from None
    return parse_document(text, file, wrong)


def parse_document(text: str, file: Path, wrong: type[PortraitError]) -> Document:
    """Parse YAML: one document without tags, anchors and aliases.

    Args:
        text: The text.
        file: The file that it was read from.
        wrong: The error to raise if it is not YAML, or uses other features.
    """
    if len(text) > MAX_BYTES:
        raise wrong(f"{file}: larger than {MAX_BYTES // 1_000_000} MB, which is the most; cut it up")
    reader = _Reader(text)
    try:
        return Document(file, reader.read(), reader.lines)
    except _FaultError as fault:
        raise wrong(f"{file}, line {fault.line}: {fault}") from None
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or error
        line = f", line {mark.line + 1}" if mark else ""
        raise wrong(f"{file}{line}: no YAML can be read ({said}); correct it, or put the text in quotes") from None


class _FaultError(ValueError):
    def __init__(self, said: str, line: int) -> None:
        super().__init__(said)
        self.line = line


class _Reader:
    """Builds values from the parser's events."""

    def __init__(self, text: str) -> None:
        self._text, self._events = text, yaml.parse(text, Loader=_PARSER)
        self.lines: dict[Place, int] = {}

    def read(self) -> Any:
        """Return the one document."""
        if found := _UNPRINTABLE.search(self._text):
            self._check_printable(found[0], self._text.count("\n", 0, found.start()) + 1)
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        content = self._value(next(self._events), ())
        next(self._events)
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise _FaultError("a second document begins here; give each a file of its own", _line(after))
        return content

    def _value(self, event: Any, place: Place) -> Any:
        self.lines[place] = line = _line(event)
        if len(place) > _MAX_DEPTH:
            raise _FaultError(f"nested more than {_MAX_DEPTH} deep", line)
        if isinstance(event, yaml.AliasEvent) or event.anchor or event.tag:
            raise _FaultError("tags, anchors and aliases are not read; quote a text that begins with !, & or *", line)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(place)
        return self._mapping(place) if isinstance(event, yaml.MappingStartEvent) else self._scalar(event)

    def _list(self, place: Place) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            values.append(self._value(event, (*place, len(values))))
        return values

    def _mapping(self, place: Place) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent) or event.anchor or event.tag:
                raise _FaultError("a name must be plain text", _line(event))
            self._check_printable(event.value, _line(event))
            if event.value in values:
                raise _FaultError(f"{event.value!r} is given twice; leave one of them out", _line(event))
            values[event.value] = self._value(next(self._events), (*place, event.value))
        return values

    def _scalar(self, event: Any) -> str | None:
        text, plain = event.value, event.implicit[0]
        if plain and text in _NOTHING:
            return None
        self._check_printable(text, _line(event))
        if plain and (found := _DATE.fullmatch(text)):
            try:
                date(*map(int, found.groups()[:3]))
            except ValueError:
                raise _FaultError(f"{text!r} is no date; correct it, or put it in quotes", _line(event)) from None
        return text

    def _check_printable(self, text: str, line: int) -> None:
        if found := _UNPRINTABLE.search(text):
            raise _FaultError(f"the character {found[0]!r} cannot be read or shown; leave it out", line)


def _line(event: Any) -> int:
    return event.start_mark.line + 1
