"""Split text into sentences, and long sentences into parts."""

from __future__ import annotations

import re
from collections.abc import Iterator

_END = re.compile(
    r"""(?<![.!?…؟।॥։])(?P<mark>[.!?…؟।॥։]++)["'”’»)\]]*+(?=\s+(?P<next>\S))"""
    r"|(?<![。！？｡])[。！？｡]++(?![」』”’）])"  # no space follows in these scripts
)
_CLAUSE = re.compile(r"""[.!?…,;:—–،؛]["'”’»)\]]*\s+|[、，；：。！？]""")
_SPACE = re.compile(r"\s+")
_SPEAKABLE = re.compile(r"[^\W_]")

_OPENING = "\"'“‘«(["
_INITIALS = re.compile(r"(?!I\Z)[^\W\d_]|(?:[^\W\d_]{1,2}\.)+[^\W\d_]{1,2}")
"""Single letters, and abbreviations with inner full stops such as "i.e." and "U.S."."""
_ABBREVIATIONS = re.compile(
    "Adm|Capt|Cmdr|Col|Cpl|Dr|Fr|Ft|Gen|Gov|Hon|Lt|Maj|Mlle|Mme|Mrs?|Ms|Msgr|Mt|Pres|Prof|Rep|Rev|Sen|Sgt|St|Supt"
    "|al|approx|bzw|ca|cf|esp|excl|incl|resp|viz|vs"
)
_BEFORE_NUMBERS = re.compile(
    "Abb|[Aa]rt|[Cc]h|[Ee]q|[Ff]igs?|[Nn]os?|[Nn]r|pp?|[Ss]ec|[Vv]ol|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec"
)


def sentences(text: str) -> list[str]:
    """Split a text into sentences, ignoring line breaks; sentences without a letter or a digit are left out."""
    text = " ".join(text.split())
    return [sentence for sentence in _split(text) if _SPEAKABLE.search(sentence)]


def is_speakable(text: str) -> bool:
    """Return whether a text has a letter or a digit."""
    return bool(_SPEAKABLE.search(text))


def pieces(text: str, longest: int) -> list[str]:
    """Cut a long text at punctuation, otherwise between words, otherwise anywhere.

    Args:
        text: One sentence or several.
        longest: The largest number of characters of a part.

    Returns:
        The parts in order, without spaces at their ends; parts without a letter or a digit are left out.
    """
    parts, start = [], 0
    while len(text) - start > longest:
        end = _cut(text, start, start + longest)
        parts.append(text[start:end].strip())
        start = end
    return [part for part in (*parts, text[start:].strip()) if is_speakable(part)]


def _cut(text: str, start: int, end: int) -> int:
    """Return the last position in the second half of a range where the text can be cut."""
    for pattern in (_CLAUSE, _SPACE):
        found = [match.end() for match in pattern.finditer(text, (start + end) // 2, end)]
        if found:
            return found[-1]
    return end


def _split(text: str) -> Iterator[str]:
    start = 0
    for found in _END.finditer(text):
        if _ends(text, start, found):
            yield text[start : found.end()].strip()
            start = found.end()
    yield text[start:].strip()


def _ends(text: str, start: int, found: re.Match[str]) -> bool:
    """Return whether the sentence that began at `start` ends with the punctuation that was found."""
    following = found["next"]
    if following is None:
        return True
    if following.islower():
        return False
    if found["mark"] != ".":
        return True
    word = text[max(text.rfind(" ", start, found.start()) + 1, start) : found.start()].lstrip(_OPENING)
    if _ABBREVIATIONS.fullmatch(word) or _INITIALS.fullmatch(word):
        return False
    if following.isdigit() and _BEFORE_NUMBERS.fullmatch(word):
        return False
    numbers_a_list = len(word) <= 3 and word.isdigit() and not text[start : found.start()].removesuffix(word).strip()
    return not numbers_a_list
