"""Read plain text: paragraphs, separated by empty lines, are split into sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from talkinghead.narration.script import LONGEST_LINE, Line, Script
from talkinghead.narration.sentences import pieces, sentences

_ADDRESS = re.compile(
    r"\b(?:https?://|www\.)([^\s/?#<>()]*[^\s/?#<>().,;:!])"
    r"(?:/(?:[^\s<>()]*[^\s<>().,;:!?])?|[?#][^\s<>()]*[^\s<>().,;:!?])?"
)
_HOST = re.compile(
    r"(?:[^@]*@)?(?:www\.)?(?=[\w.-]{1,253}(?![\w.-]))"
    r"(?P<host>(?:[\w-]{1,63}\.)*[^\W\d_][\w-]{1,62}|(?:\d{1,3}\.){3}\d{1,3})(?![\w.-])"
)
"""A host as the DNS allows it: 253 characters, labels of 63, the last one beginning with a letter; or four numbers."""
_NO_HOST = "link"
"""What is read in place of an address without such a host."""
_BREATH = 0.1
"""Seconds of silence between the parts of a long sentence."""


def parse_plain(text: str, file: Path) -> Script:
    """Read plain text."""
    return Script(file, tuple(lines_of(re.split(r"\n\s*\n", text))))


def lines_of(paragraphs: Iterable[str], chapter: int = 0) -> Iterator[Line]:
    """Yield the sentences of paragraphs, long ones in parts."""
    for paragraph in paragraphs:
        said: list[Line] = []
        for sentence in sentences(_ADDRESS.sub(_host, paragraph)):
            *begun, last = pieces(sentence, LONGEST_LINE)
            said += [Line(piece, chapter=chapter, pause=_BREATH) for piece in begun]
            said.append(Line(last, chapter=chapter))
        if said:
            yield from (*said[:-1], replace(said[-1], ends_paragraph=True))


def _host(found: re.Match[str]) -> str:
    """Return the host of a web address and the punctuation and port behind it, the only parts that are read."""
    host = _HOST.match(found[1])
    return host["host"] + found[1][host.end() :] if host else _NO_HOST
