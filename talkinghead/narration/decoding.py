"""Decode the bytes of a script."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from talkinghead.media.files import require_file
from talkinghead.narration.errors import ScriptError

MAX_BYTES = 2_000_000
"""Largest script: enough for many hours of speech, and parsed in seconds."""

_MOSTLY_WESTERN = 0.25
"""Largest share of non-ASCII letters in a text that is taken for Windows-1252."""

# Control characters except spaces, lone surrogates, and noncharacters.
_MEANINGLESS = re.compile("[\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffd-\uffff]")


def read_text(path: Path) -> tuple[str, tuple[str, ...]]:
    r"""Read a text file.

    Returns:
        Its text with `\n` between lines and without control characters, and remarks for the user.

    Raises:
        InputNotFoundError: The file does not exist.
        ScriptError: The file is not a text, is too long, or has an unknown encoding.
    """
    file = require_file(path, ScriptError)
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ScriptError(f"{file}: cannot be read ({error.strerror}); check its permissions") from None
    if len(data) > MAX_BYTES:
        raise ScriptError(f"{file}: larger than {MAX_BYTES // 1_000_000} MB, the most for a script; cut it up")
    text, note = _decode(data, file)
    return clean(re.sub("\r+\n|\r", "\n", text)), (note,) if note else ()


def clean(text: str) -> str:
    """Remove control characters and noncharacters."""
    return _MEANINGLESS.sub("", text)


def _decode(data: bytes, file: Path) -> tuple[str, str]:
    """Return the text, and a note if its encoding was guessed."""
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if wide else "utf-8-sig"), ""
    except UnicodeDecodeError:
        letters = re.findall(rb"[A-Za-z\x80-\xff]", data)
        beyond = sum(letter >= b"\x80" for letter in letters)
        if wide or beyond > _MOSTLY_WESTERN * len(letters):
            raise ScriptError(f"{file}: not a text in UTF-8 or UTF-16; save it as UTF-8") from None
        note = f"{file}: not in UTF-8, so it was read as Windows-1252; save it as UTF-8 if letters are wrong"
        return data.decode("cp1252", "replace"), note
