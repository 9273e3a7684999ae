"""Plain text: paragraphs between empty lines, and the sentences in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from hibari import Hibari

from talkinghead.narrate.script import Line, Script

_WIDE_END = re.compile(r"(?<=[。！？｡])(?![」』”’）])")
"""Ends of sentences in scripts that write no space after them."""

_ADDRESS = re.compile(r"\b(?:https?://|www\.)([^\s/<>()]*[^\s/<>().,;:!?])(?:/(?:[^\s<>()]*[^\s<>().,;:!?])?)?")
_SPEAKABLE = re.compile(r"\w")


def parse_plain(text: str, file: Path) -> Script:
    """Read plain text."""
    return Script(file, tuple(lines_of(re.split(r"\n\s*\n", text))))


def lines_of(paragraphs: Iterable[str], chapter: int = 0) -> Iterator[Line]:
    """Yield the sentences of paragraphs; the last one of each ends it."""
    for paragraph in paragraphs:
        said = [Line(sentence, chapter=chapter) for sentence in sentences(paragraph)]
        if said:
            yield from (*said[:-1], replace(said[-1], ends_paragraph=True))


def sentences(paragraph: str) -> list[str]:
    """Split a paragraph, whose line breaks mean nothing, into sentences; those without a word are left out."""
    text = " ".join(_ADDRESS.sub(_host, paragraph).split())
    parts = (part.strip() for whole in Hibari.split_sentences(text) for part in _WIDE_END.split(whole))
    return [part for part in parts if _SPEAKABLE.search(part)]


def _host(found: re.Match[str]) -> str:
    """Read of a web address only whose it is."""
    return found[1].removeprefix("www.")
