"""Where sentences end, and where a long one can be cut."""

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
"""Single letters, and what is written with full stops inside, such as "i.e." and "U.S."."""
_ABBREVIATIONS = re.compile(
    "Adm|Capt|Cmdr|Col|Cpl|Dr|Fr|Ft|Gen|Gov|Hon|Lt|Maj|Mlle|Mme|Mrs?|Ms|Msgr|Mt|Pres|Prof|Rep|Rev|Sen|Sgt|St|Supt"
    "|al|approx|bzw|ca|cf|esp|excl|incl|resp|viz|vs"
)
_BEFORE_NUMBERS = re.compile(
    "Abb|[Aa]rt|[Cc]h|[Ee]q|[Ff]igs?|[Nn]os?|[Nn]r|pp?|[Ss]ec|[Vv]ol|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec"
)


def sentences(text: str) -> list[str]:
    """Split a text, whose line breaks mean nothing, into sentences; those without a letter or a digit are left out."""
    text = " ".join(text.split())
    return [sentence for sentence in _split(text) if _SPEAKABLE.search(sentence)]


def is_speakable(text: str) -> bool:
    """Whether there is a letter or a digit in a text."""
    return bool(_SPEAKABLE.search(text))


def pieces(text: str, longest: int) -> list[str]:
    """Cut a text that is too long: at commas and the like, else between words, else anywhere.

    Args:
        text: One sentence or several.
        longest: How many characters a piece may have.

    Returns:
        The text in order, without the spaces between two pieces and without pieces that have no letter and no digit.
    """
    parts, start = [], 0
    while len(text) - start > longest:
        end = _cut(text, start, start + longest)
        parts.append(text[start:end].strip())
        start = end
    return [part for part in (*parts, text[start:].strip()) if is_speakable(part)]


def _cut(text: str, start: int, end: int) -> int:
    """Return where to cut a text at the latest, but not in the first half."""
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
    """Whether a sentence that began at `start` ends with the marks that were found."""
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
