"""Markdown: headings become chapters; what a voice cannot read, code and tables above all, is passed over."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from talkinghead.narrate.plain import lines_of
from talkinghead.narrate.script import Chapter, Line, Script

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n.*?\n(?:---|\.\.\.)[ \t]*\n", re.DOTALL)
_READ_AS_IT_IS = {"text", "code_inline", "text_special"}
_BREAKS = {"softbreak", "hardbreak"}
_RULE_SECONDS = 1.5
"""How much longer a horizontal rule makes a pause."""


def parse_markdown(text: str, file: Path) -> Script:
    """Read Markdown.

    Headings begin chapters and are not read aloud; the first one of the highest rank is the title too. Of links the
    words are read, of web addresses whose they are; words marked as code are read, blocks of code, tables, pictures
    and HTML are not. A horizontal rule is a pause.
    """
    tokens = MarkdownIt("commonmark").enable("table").parse(_FRONT_MATTER.sub("", text))
    chapters: list[Chapter] = [Chapter()]
    lines: list[Line] = []
    heading, tables = False, 0
    for token in tokens:
        tables += {"table_open": 1, "table_close": -1}.get(token.type, 0)
        if token.type in {"heading_open", "heading_close"}:
            heading = token.type == "heading_open"
        elif token.type == "hr" and lines:
            lines[-1] = replace(lines[-1], pause=(lines[-1].pause or 0) + _RULE_SECONDS)
        elif token.type == "inline" and heading:
            chapters.append(Chapter(_spoken(token)))
        elif token.type == "inline" and not tables:
            lines += lines_of([_spoken(token)], len(chapters) - 1)
    return _without_empty_chapters(Script(file, tuple(lines), tuple(chapters), title=_title(tokens)))


def _spoken(token: Token) -> str:
    """Return what is read of a run of text."""
    parts = []
    for child in token.children or ():
        if child.type in _READ_AS_IT_IS:
            parts.append(child.content)
        elif child.type in _BREAKS:
            parts.append(" ")
    return "".join(parts).strip()


def _title(tokens: list[Token]) -> str:
    headings = [(opened.tag, _spoken(inline)) for opened, inline in pairwise(tokens) if opened.type == "heading_open"]
    return min(headings, key=lambda heading: heading[0])[1] if headings else ""


def _without_empty_chapters(script: Script) -> Script:
    """Leave out headings that nothing is said under."""
    used = sorted({line.chapter for line in script.lines}) or [0]
    lines = tuple(replace(line, chapter=used.index(line.chapter)) for line in script.lines)
    return replace(script, lines=lines, chapters=tuple(script.chapters[number] for number in used))
