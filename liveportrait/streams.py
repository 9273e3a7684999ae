"""Read one stream of frames in two places."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def tee(items: Iterable[Item]) -> tuple[Iterator[Item], Iterator[Item]]:
    """Return two iterators over the same items, like `itertools.tee`, which keeps up to 57 items after both have them.

    Those would be 57 frames of a video with their portraits. Here an item is kept until the later iterator has it.

    Example:
        >>> ahead, kept = tee("ab")
        >>> next(ahead), next(kept), list(ahead), list(kept)
        ('a', 'a', ['b'], ['b'])
    """
    source = iter(items)
    first: deque[Item] = deque()
    second: deque[Item] = deque()
    return _read(source, first, second), _read(source, second, first)


def _read(source: Iterator[Item], own: deque[Item], other: deque[Item]) -> Iterator[Item]:
    """Yield what the other iterator has read before, and then new items, which it can read later."""
    while True:
        if not own:
            try:
                item = next(source)
            except StopIteration:
                return
            own.append(item)
            other.append(item)
            del item
        yield own.popleft()
