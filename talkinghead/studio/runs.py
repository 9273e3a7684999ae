"""Videos are made one after the other in one thread; every page can cancel its own."""

from __future__ import annotations

import logging
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import talkinghead
from talkinghead.cli.lines import one_line
from talkinghead.studio.call import Call

logger = logging.getLogger(__name__)

Item = TypeVar("Item")


class _CancelledError(Exception):
    pass


@dataclass(frozen=True)
class Outcome:
    """What became of a call.

    Attributes:
        call: The call.
        summary: What was written, or None.
        error: Why nothing was, in one line, or None.
    """

    call: Call
    summary: talkinghead.Summary | None = None
    error: str | None = None


class Run:
    """One or more calls that somebody waits for.

    Attributes:
        calls: The calls.
        folder: The private folder of inputs that were written for them, and of what they write.
        outcomes: What became of the calls so far.
        stage: What is being done; empty while it waits for its turn.
        done: Items of the stage that are done.
        total: Items of the stage.
        cancelled: Whether it is to stop.
        finished: Whether it has stopped, and nothing more is written.
    """

    def __init__(self, calls: Sequence[Call], folder: Path) -> None:
        self.calls, self.folder = tuple(calls), folder
        self.outcomes: list[Outcome] = []
        self.stage, self.done, self.total, self._begun = "", 0, 0, 0.0
        self.cancelled, self.finished = threading.Event(), threading.Event()
        self.future: Future[None] | None = None

    def progress(self, items: Iterable[Item], total: int, stage: str) -> Iterable[Item]:
        """Count items, and stop when the run is cancelled."""
        self.stage, self.done, self.total, self._begun = stage, 0, total, time.monotonic()
        for item in items:
            self.check()
            yield item
            self.done += 1

    def check(self) -> None:
        """Stop if the run is cancelled."""
        if self.cancelled.is_set():
            raise _CancelledError

    @property
    def seconds_left(self) -> float | None:
        """About how long the stage still takes, or None while that cannot be told."""
        if not self.done:
            return None
        return (time.monotonic() - self._begun) / self.done * max(self.total - self.done, 0)


class Runs:
    """All runs of the studio, and the files of every page.

    Args:
        folder: A private folder.
        load: Returns the networks of a call, which are loaded only once.
    """

    def __init__(self, folder: Path, load: Callable[[Call], talkinghead.Models]) -> None:
        self._folder, self._load = folder, load
        self._worker = ThreadPoolExecutor(1, "run")
        self._runs: dict[str, list[Run]] = {}

    def new_folder(self, page: str) -> Path:
        """Return a new folder of a page, which lasts as long as the page is open."""
        folder = self._folder / _plain(page) / secrets.token_hex(8)
        folder.mkdir(parents=True, mode=0o700)
        return folder

    def start(self, page: str, calls: Sequence[Call], folder: Path) -> Run:
        """Let calls wait for their turn."""
        run = Run(calls, folder)
        self._runs.setdefault(page, []).append(run)
        run.future = self._worker.submit(self._work, run)
        return run

    def cancel(self, run: Run) -> None:
        """Stop a run and remove its files; one that waits stops at once."""
        run.cancelled.set()
        if run.future is not None and run.future.cancel():
            self._end(run)

    def close_page(self, page: str) -> None:
        """Stop all runs of a page and remove its files, when it is closed."""
        runs = self._runs.pop(page, [])
        for run in runs:
            self.cancel(run)
        for run in runs:
            run.finished.wait()
        shutil.rmtree(self._folder / _plain(page), ignore_errors=True)

    def close(self) -> None:
        """Stop all runs and remove all files."""
        for page in list(self._runs):
            self.close_page(page)
        self._worker.shutdown(wait=True, cancel_futures=True)

    def waiting_before(self, run: Run) -> int:
        """Return how many runs come before one that waits."""
        unfinished = [each for runs in list(self._runs.values()) for each in runs if not each.finished.is_set()]
        return sum(each.stage != "" or each.cancelled.is_set() for each in unfinished if each is not run)

    def _work(self, run: Run) -> None:
        try:
            for call in run.calls:
                run.check()
                run.outcomes.append(self._make(run, call))
        except _CancelledError:
            pass
        finally:
            self._end(run)

    def _make(self, run: Run, call: Call) -> Outcome:
        run.stage, run.done, run.total = "Reading inputs", 0, 0
        try:
            models = self._load(call)
            run.check()
            folder = run.folder / f"{len(run.outcomes)}"
            folder.mkdir()
            return Outcome(call, call.run(folder, run.progress, models))
        except talkinghead.PortraitError as error:
            return Outcome(call, error=self.line(error))
        except _CancelledError:
            raise
        except Exception:
            logger.exception("%s failed", call.command)
            return Outcome(call, error="this is a fault of the program, which has been logged; please report it")

    def _end(self, run: Run) -> None:
        if run.cancelled.is_set():
            shutil.rmtree(run.folder, ignore_errors=True)
        run.finished.set()

    def line(self, error: talkinghead.PortraitError) -> str:
        """Return the command line's one line for an error, in which files have the names that the user gave them."""
        return one_line(without_folders(str(error), self._folder.parent))


def without_folders(message: str, folder: Path) -> str:
    """Leave out of a message where uploads lie."""
    return re.sub(rf"{re.escape(str(folder))}(?:/[\w-]+)*/", "", message)


def _plain(page: str) -> str:
    """Return the name of a page's folder; pages name themselves, so nothing else of it may be a path."""
    return re.sub(r"\W", "", page) or "page"
