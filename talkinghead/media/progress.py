"""The callback that reports the progress of long tasks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

READING, RENDERING = "Reading motion", "Rendering"
"""The stages of making a video."""

Item = TypeVar("Item")


class Progress(Protocol):
    """Yields items unchanged and counts them."""

    def __call__(self, items: Iterable[Item], total: int, stage: str, /) -> Iterable[Item]:
        """Yield items unchanged.

        Args:
            items: Frames of the driver, or pictures of the result.
            total: The number of items, which may be an estimate.
            stage: `READING` or `RENDERING`.
        """
        ...


def no_progress(items: Iterable[Item], total: int, stage: str) -> Iterable[Item]:
    """Return the items without counting them."""
    return items
