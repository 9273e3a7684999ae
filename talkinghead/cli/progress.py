"""A progress bar on stderr: frames, frames per second, time left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePath
from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TransferSpeedColumn,
)
from rich.progress import TimeRemainingColumn as TimeLeft
from rich.text import Text

Item = TypeVar("Item")


class FrameBar:
    """A context manager that shows that something is going on, and how far pictures have come."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Speed(),
            TimeLeft(),
        )
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)

    def __enter__(self) -> FrameBar:
        self._progress.start()
        self._task = self._progress.add_task("Reading inputs", total=None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def progress(self, items: Iterable[Item], total: int, stage: str) -> Iterator[Item]:
        """Pass items on and count them; see `talkinghead.media.progress`."""
        self._progress.reset(self._task, total=total, description=stage)
        for item in items:
            yield item
            self._progress.advance(self._task)


class ByteBar:
    """A context manager that shows how far files have come."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, soft_wrap=True)
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeLeft())
        self._progress = Progress(
            *columns, console=self._console, transient=True, disable=not self._console.is_terminal
        )

    def __enter__(self) -> ByteBar:
        self._progress.start()
        self._task = self._progress.add_task("Looking", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """Print something above the bar."""
        self._console.print(text, markup=False, highlight=False)

    def fetched(self, file: str, done: int, size: int) -> None:
        """Show how many bytes of a file have come."""
        self._progress.update(self._task, description=PurePath(file).name, completed=done, total=size)


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Show frames per second."""
        return Text(f"{task.speed:.1f} frames/s" if task.speed else "")
