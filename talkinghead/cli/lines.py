"""What is printed: one line, bounded, in which nothing can move the cursor or hide."""

from __future__ import annotations

import unicodedata

LONGEST = 300
"""Characters of a line that says what is wrong."""

_LONGEST_WORD = 120
_GAP = " … "
_SAFE_FORMATS = "\u200c\u200d"
"""Joiners that Persian, Indic scripts and emoji need."""


def one_line(message: str, longest: int = LONGEST) -> str:
    """Return a message as one line that is not too long.

    Names and values that are too long lose their middle, then the whole does: the file at its beginning and the
    advice at its end stay.

    Args:
        message: Any text.
        longest: How many characters the line may have.
    """
    line = " ".join(_shorten(word, _LONGEST_WORD, "…") for word in escape(" ".join(message.split())).split(" "))
    return _shorten(line, longest, _GAP)


def escape(text: str) -> str:
    """Write control characters, half pairs and marks that turn the reading direction as their codes."""
    return "".join(character if _harmless(character) else _code(character) for character in text)


def _shorten(text: str, longest: int, gap: str) -> str:
    if len(text) <= longest:
        return text
    end = longest * 2 // 5
    return text[: longest - len(gap) - end] + gap + text[-end:]


def _harmless(character: str) -> bool:
    kind = unicodedata.category(character)
    return character in _SAFE_FORMATS or (kind not in {"Cc", "Cf", "Cs", "Zl", "Zp"})


def _code(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
