"""Read a script of any kind and check that it can be spoken."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

from talkinghead.narration.decoding import clean, read_text
from talkinghead.narration.errors import ScriptError
from talkinghead.narration.markdown import parse_markdown
from talkinghead.narration.plain import parse_plain
from talkinghead.narration.script import LONGEST_DIRECTED, Script
from talkinghead.narration.subtitles import parse_subtitles
from talkinghead.narration.yaml_script import parse_dialogue

_PARSERS = {
    ".txt": parse_plain,
    ".md": parse_markdown,
    ".markdown": parse_markdown,
    ".srt": parse_subtitles,
    ".vtt": parse_subtitles,
    ".yaml": parse_dialogue,
    ".yml": parse_dialogue,
}

LONGEST_TITLE = 200
"""Characters of a title that are kept."""

LONGEST_HOURS = 12
"""Of a narration."""
LETTERS_A_SECOND = 15
"""How fast a voice speaks, roughly."""

LONGEST_WORD = 250
"""Letters and digits of a word; if they are read one by one, they take more than half a minute."""

_WORD = re.compile(
    "[^\\s\u200b\u1361\u0e00-\u109f\u1780-\u17ff\u1950-\u1b7f\u2e80-\u9fff\ua980-\uaadf\uf900-\ufaff\uff00-\uffef"
    "\U00020000-\U0003ffff]+"
)
"""Characters without a space, none of them of a writing system without spaces, such as Chinese, Thai or Khmer."""


def read_script(path: str | os.PathLike[str]) -> Script:
    """Read a script: plain text, Markdown, SRT, VTT or YAML, by the ending of its name.

    Raises:
        InputNotFoundError: There is no such file.
        ScriptError: It is no script, says nothing, is too long, or contradicts itself.
    """
    file = Path(path)
    parse = _PARSERS.get(file.suffix.lower())
    if parse is None:
        raise ScriptError(f"{file}: not a script that can be read: give {', '.join(_PARSERS)}")
    text, notes = read_text(file)
    script = _printable(parse(text, file))
    if not any(line.text for line in script.lines):
        raise ScriptError(f"{file}: nothing in it to say; write at least one sentence")
    _check_length(script)
    _check_words(script)
    return replace(script, notes=(*notes, *script.notes))


def _printable(script: Script) -> Script:
    """Leave out the control characters that escapes of YAML and HTML can bring, and the rest of very long titles."""
    lines = tuple(replace(line, text=clean(line.text)) for line in script.lines)
    chapters = tuple(replace(chapter, title=clean(chapter.title)[:LONGEST_TITLE]) for chapter in script.chapters)
    return replace(script, lines=lines, chapters=chapters, title=clean(script.title)[:LONGEST_TITLE])


def _check_length(script: Script) -> None:
    longest = max(script.lines, key=lambda line: len(line.text)).text
    if len(longest) > LONGEST_DIRECTED:
        raise ScriptError(
            f"{script.file}: a line with keyframes has {len(longest):,} characters, {LONGEST_DIRECTED:,} is the most; "
            f"cut it up ({longest[:40]!r})"
        )
    ends = [line.slot.end for line in script.lines if line.slot]
    hours = max(ends, default=sum(len(line.text) for line in script.lines) / LETTERS_A_SECOND) / 3600
    if hours > LONGEST_HOURS:
        what = "its last cue ends after" if ends else "it would take about"
        raise ScriptError(
            f"{script.file}: {what} {hours:,.1f} hours; a narration has {LONGEST_HOURS} at most: cut it up"
            + (", or correct its times" if ends else "")
        )


def _check_words(script: Script) -> None:
    words = (word for line in script.lines for word in _WORD.findall(line.text))
    for word in words:
        if len(word) > LONGEST_WORD and sum(map(str.isalnum, word)) > LONGEST_WORD:
            raise ScriptError(
                f"{script.file}: a word has more than {LONGEST_WORD} letters and digits ({word[:40]!r}); leave it out, "
                "or put spaces between its parts"
            )
