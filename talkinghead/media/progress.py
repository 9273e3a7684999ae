"""Progress: how a command line, a window or a log learns how far a long task has come."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

READING, RENDERING = "Reading motion", "Rendering"
"""The stages of making a video."""

Item = TypeVar("Item")


class Progress(Protocol):
    """Passes items on while it counts them."""

    def __call__(self, items: Iterable[Item], total: int, stage: str, /) -> Iterable[Item]:
        """Pass items on.

        Args:
            items: Frames of the driver, or pictures of the result.
            total: How many there are; an estimate where a video does not say.
            stage: `READING` or `RENDERING`.
        """
        ...


def no_progress(items: Iterable[Item], total: int, stage: str) -> Iterable[Item]:
    """Pass items on and count nothing."""
    return items
