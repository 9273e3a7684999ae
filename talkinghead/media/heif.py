"""Check the texts in a HEIF file that pi_heif hands to Python, which crashes if one of them is not UTF-8."""

from __future__ import annotations

from collections.abc import Iterator
from mmap import mmap

_MOST_BOXES = 100_000
"""Largest number of boxes that are looked at; libheif reads at most 1000 items."""

_CONTAINERS = {b"meta": 4, b"iprp": 0, b"ipco": 0}
"""Boxes on the way to those texts, and the number of bytes before the boxes in them."""

_Range = tuple[int, int]


def check_texts(data: mmap | bytes) -> None:
    """Check the types of items, of their content and of auxiliary pictures.

    Args:
        data: The content of the file.

    Raises:
        ValueError: One of them is not UTF-8, or there are too many boxes.
    """
    for number, text in enumerate(_texts(data, (0, len(data)))):
        if number == _MOST_BOXES:
            raise ValueError(f"it has more than {_MOST_BOXES:,} boxes")
        try:
            text.decode()
        except UnicodeDecodeError:
            raise ValueError(f"{text[:20]!r} in its header is damaged") from None


def _texts(data: mmap | bytes, within: _Range) -> Iterator[bytes]:
    """Yield the texts of all boxes in a range, an empty one at least for every box."""
    for kind, begin, end in _boxes(data, within):
        yield b""
        if kind == b"infe":
            yield from _item_texts(data[begin:end])
        elif kind == b"auxC":
            yield data[begin + 4 : end].partition(b"\0")[0]
        elif kind == b"iinf":
            yield from _texts(data, (begin + (8 if data[begin : begin + 1] > b"\0" else 6), end))
        elif kind in _CONTAINERS:
            yield from _texts(data, (begin + _CONTAINERS[kind], end))


def _boxes(data: mmap | bytes, within: _Range) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each box, and where its content begins and ends."""
    position, end = within
    while position + 8 <= end:
        begin = position + 8
        size, kind = int.from_bytes(data[position : position + 4]), data[position + 4 : begin]
        if size == 1:
            size, begin = int.from_bytes(data[begin : begin + 8]), begin + 8
        after = position + size if size else end
        if after < begin:
            return
        yield kind, begin, min(after, end)
        position = after


def _item_texts(entry: bytes) -> list[bytes]:
    """Return the type of an item and of its content; its name, between them, is not handed on."""
    if entry[:1] < b"\2":
        return entry[8:].split(b"\0")[1:2]
    begin = 8 if entry[:1] == b"\2" else 10
    return [entry[begin : begin + 4], *entry[begin + 4 :].split(b"\0", 2)[1:2]]
