"""Videos are made one after the other, by a queue of bounded length."""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, TypeVar

from liveportrait.errors import PortraitError
from talkinghead.media.progress import Progress
from talkinghead.saving import Summary
from talkinghead.server.metrics import Metrics

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
State = Literal["waiting", "running", "done", "failed", "cancelled"]
FINISHED: frozenset[State] = frozenset({"done", "failed", "cancelled"})

Work = Callable[[Path, Path, Progress], Summary]
"""Makes a video: takes the folder of the uploads, the file to write and a progress callback."""


class QueueFullError(Exception):
    """No further job can wait."""


class _CancelledError(Exception):
    pass


class Job:
    """One video.

    Attributes:
        id: Its name, which cannot be guessed.
        kind: speak, reenact or narrate.
        state: How far it is.
        stage: What is being done.
        done: Items of the stage that are done.
        total: Items of the stage.
        error: Why it failed, or None.
        summary: What was written, or None.
        folder: Its private folder.
    """

    def __init__(self, kind: str, folder: Path, work: Work) -> None:
        self.id, self.kind, self.work = secrets.token_urlsafe(16), kind, work
        self.folder = folder
        self.state: State = "waiting"
        self.stage, self.done, self.total = "", 0, 0
        self.error: str | None = None
        self.summary: Summary | None = None
        self.finished_at: float | None = None
        self.cancelled = threading.Event()
        self.future: Future[None] | None = None

    @property
    def uploads(self) -> Path:
        """The folder of what was uploaded."""
        return self.folder / "uploads"

    @property
    def result(self) -> Path:
        """The video."""
        return self.folder / "result.mp4"

    def progress(self, items: Iterable[Item], total: int, stage: str) -> Iterable[Item]:
        """Count items, and stop when the job is cancelled."""
        self.stage, self.done, self.total = stage, 0, total
        for item in items:
            if self.cancelled.is_set():
                raise _CancelledError
            yield item
            self.done += 1

    def describe(self) -> dict[str, Any]:
        """Return what a client may know."""
        described: dict[str, Any] = {"id": self.id, "kind": self.kind, "state": self.state}
        described |= {"stage": self.stage, "done": self.done, "total": self.total, "error": self.error}
        if self.summary is not None:
            summary = self.summary
            described |= {"frames": summary.frames, "seconds": summary.seconds, "fps": float(summary.fps)}
            described |= {"width": summary.width, "height": summary.height, "notes": list(summary.notes)}
            described["result"] = f"/v1/jobs/{self.id}/result"
        return described


class JobQueue:
    """Runs jobs in one thread, since each uses all cores.

    Args:
        folder: A private folder, in which every job gets one of its own.
        max_waiting: Jobs that may wait while one runs.
        keep_seconds: How long finished jobs are kept.
        metrics: Where figures are counted.
    """

    def __init__(self, folder: Path, max_waiting: int, keep_seconds: float, metrics: Metrics) -> None:
        self._folder, self._max_waiting, self._keep_seconds, self._metrics = folder, max_waiting, keep_seconds, metrics
        self._jobs: dict[str, Job] = {}
        self._worker = ThreadPoolExecutor(1, "job")
        self._lock = threading.Lock()

    def new_folder(self) -> Path:
        """Return the folder of a new job, with an empty folder for uploads.

        Raises:
            QueueFullError: No further job can wait.
        """
        self.check_room()
        folder = self._folder / secrets.token_hex(16)
        (folder / "uploads").mkdir(parents=True, mode=0o700)
        return folder

    def check_room(self) -> None:
        """Raise QueueFullError if no further job can wait."""
        self._forget_old()
        if sum(job.state not in FINISHED for job in list(self._jobs.values())) > self._max_waiting:
            raise QueueFullError

    def submit(self, job: Job) -> None:
        """Let a job wait for its turn.

        Raises:
            QueueFullError: No further job can wait.
        """
        with self._lock:
            self.check_room()
            self._jobs[job.id] = job
            self._metrics.waiting.inc()
            job.future = self._worker.submit(self._run, job)

    def find(self, name: str) -> Job | None:
        """Return a job by its id."""
        self._forget_old()
        return self._jobs.get(name)

    def remove(self, job: Job) -> None:
        """Cancel a job, and forget it with its files once it has stopped."""
        job.cancelled.set()
        if job.future is not None and job.future.cancel():
            self._finish(job, "cancelled")
        if job.state in FINISHED:
            self._forget(job)

    def close(self) -> None:
        """Cancel all jobs and wait for the one that runs."""
        for job in list(self._jobs.values()):
            self.remove(job)
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _run(self, job: Job) -> None:
        job.state = "running"
        begun = time.monotonic()
        try:
            job.summary = job.work(job.uploads, job.result, job.progress)
            state: State = "done"
        except _CancelledError:
            state = "cancelled"
        except PortraitError as error:
            state, job.error = "failed", without_folder(str(error), job.uploads)
        except Exception:
            logger.exception("job %s failed", job.id)
            state, job.error = "failed", "this is a fault of the server, which has logged it"
        self._metrics.job_seconds.labels(job.kind).observe(time.monotonic() - begun)
        self._finish(job, state)
        if job.cancelled.is_set():
            self._forget(job)

    def _finish(self, job: Job, state: State) -> None:
        shutil.rmtree(job.uploads, ignore_errors=True)
        job.state, job.finished_at = state, time.monotonic()
        self._metrics.waiting.dec()
        self._metrics.jobs.labels(job.kind, state).inc()

    def _forget_old(self) -> None:
        now = time.monotonic()
        for job in list(self._jobs.values()):
            if job.finished_at is not None and now - job.finished_at > self._keep_seconds:
                self._forget(job)

    def _forget(self, job: Job) -> None:
        self._jobs.pop(job.id, None)
        shutil.rmtree(job.folder, ignore_errors=True)


def without_folder(message: str, folder: Path) -> str:
    """Leave out where uploads lie, which is nobody's business."""
    return message.replace(f"{folder}/", "").replace(str(folder), "upload")
