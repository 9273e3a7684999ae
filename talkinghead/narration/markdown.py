"""Read Markdown: headings become chapters; code blocks, tables and the like are skipped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.front_matter import front_matter_plugin

from talkinghead.narration.errors import ScriptError
from talkinghead.narration.plain import lines_of
from talkinghead.narration.script import Chapter, Line, Script

_SPOKEN_TOKENS = {"text", "code_inline", "text_special"}
_BREAKS = {"softbreak", "hardbreak"}
_SKIPPED = {"table_open", "table_close", "footnote_block_open", "footnote_block_close"}
_NOT_READ = re.compile(r"\A\s*\[[ xX]\](?=\s)|\[\^[^\s\[\]]+\]")
"""Check boxes of task lists, and references to missing footnotes."""
_BEFORE_MARKS = re.compile(r" +(?=[.,;])")
"""Spaces that remain after removals."""
_RULE_SECONDS = 1.5
"""Seconds that a horizontal rule adds to a pause."""

_MARKS = re.compile(r"[\[\]*_~`<]")
_MOST_MARKS = 10_000
"""Largest number of marks in a paragraph; the parser's time grows with its square."""


def parse_markdown(text: str, file: Path) -> Script:
    """Read Markdown.

    Headings begin chapters and are not spoken; the first one of the highest level is also the title. Link texts, the
    hosts of web addresses and inline code are spoken. Code blocks, tables, pictures, HTML, footnotes, check boxes and
    struck-out words are not. A horizontal rule is a pause.

    Raises:
        ScriptError: A paragraph has too many marks.
    """
    tokens = _tokens(text, file)
    chapters: list[Chapter] = [Chapter()]
    lines: list[Line] = []
    heading = False
    for token in _read(tokens):
        if token.type in {"heading_open", "heading_close"}:
            heading = token.type == "heading_open"
        elif token.type == "hr" and lines:
            lines[-1] = replace(lines[-1], pause=(lines[-1].pause or 0) + _RULE_SECONDS)
        elif token.type == "inline" and heading:
            chapters.append(Chapter(_spoken(token)))
        elif token.type == "inline":
            lines += lines_of([_spoken(token)], len(chapters) - 1)
    return _without_empty_chapters(Script(file, tuple(lines), tuple(chapters), title=_title(tokens)))


def _tokens(text: str, file: Path) -> list[Token]:
    if any(len(_MARKS.findall(paragraph)) > _MOST_MARKS for paragraph in re.split(r"\n\s*\n", text)):
        raise ScriptError(
            f"{file}: a paragraph has more than {_MOST_MARKS:,} brackets, stars and other marks; is it Markdown? "
            "Put empty lines between its parts"
        )
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    return parser.use(front_matter_plugin).use(footnote_plugin).parse(text)


def _read(tokens: list[Token]) -> Iterator[Token]:
    """Yield the tokens outside of skipped blocks."""
    depth = 0
    for token in tokens:
        if token.type in _SKIPPED:
            depth += token.nesting
        elif not depth:
            yield token


def _spoken(token: Token) -> str:
    """Return the spoken part of inline content."""
    parts, struck = [], 0
    for child in token.children or ():
        struck += child.nesting if child.tag == "s" else 0
        if child.type in _SPOKEN_TOKENS and not struck:
            parts.append(child.content)
        elif child.type in _BREAKS:
            parts.append(" ")
    return _BEFORE_MARKS.sub("", _NOT_READ.sub("", "".join(parts))).strip()


def _title(tokens: list[Token]) -> str:
    headings = [(opened.tag, _spoken(inline)) for opened, inline in pairwise(tokens) if opened.type == "heading_open"]
    return min(headings, key=lambda heading: heading[0])[1] if headings else ""


def _without_empty_chapters(script: Script) -> Script:
    """Remove chapters without lines."""
    used = sorted({line.chapter for line in script.lines}) or [0]
    places = {chapter: place for place, chapter in enumerate(used)}
    lines = tuple(replace(line, chapter=places[line.chapter]) for line in script.lines)
    return replace(script, lines=lines, chapters=tuple(script.chapters[number] for number in used))
