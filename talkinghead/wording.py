"""Words of messages."""

from __future__ import annotations


def counted(number: int, noun: str, nouns: str | None = None) -> str:
    """Return a number with its noun: "1 frame", "2 frames".

    Args:
        number: How many there are.
        noun: The word for one.
        nouns: The word for several; None for the noun with an s.
    """
    return f"{number} {noun if number == 1 else nouns or f'{noun}s'}"
