"""Run jobs in worker processes on this machine; if one is killed, only its own job is affected."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from talkinghead.batch.jobs import Job
from talkinghead.batch.work import Outcome, Worker
from talkinghead.host.process import native_output_hidden, settle_process
from talkinghead.host.signals import run_interruptible

ATTEMPTS = 2
"""Number of attempts of a job whose worker is killed."""

_PROCESSES = multiprocessing.get_context("spawn")  # forked processes lack the networks' threads

MakeWorker = Callable[[], Worker]


@dataclass
class _WorkerSlot:
    """A worker's process, the connection to it, and its current job."""

    process: Any
    line: Connection
    job: Job | None = None
    attempt: int = 0


def run_local(jobs: Sequence[Job], num_workers: int, make_worker: MakeWorker | None = None) -> Iterator[Outcome]:
    """Run jobs in processes of this machine.

    Args:
        jobs: The jobs.
        num_workers: The number of worker processes.
        make_worker: Creates a worker in its process; must be importable by name.

    Yields:
        Outcomes in the order in which jobs end.
    """
    waiting = deque((job, 1) for job in jobs)
    count = min(num_workers, len(jobs))
    threads = max((os.cpu_count() or 1) // count, 1)
    slots: list[_WorkerSlot] = []
    try:
        while len(slots) < count:
            slots.append(_open(make_worker, threads))
        for slot in slots:
            _give(slot, waiting)
        while any(slot.job for slot in slots):
            ready = wait([slot.line for slot in slots if slot.job])
            for number, slot in enumerate(slots):
                if slot.line not in ready:
                    continue
                outcome = _receive(slot)
                if outcome is None:  # the process has died
                    slots[number] = _open(make_worker, threads)
                    outcome = _again(slot, waiting)
                if outcome:
                    yield outcome
                _give(slots[number], waiting)
    finally:
        for slot in slots:
            if slot.job:  # interrupted while it runs a job
                slot.process.terminate()
        for slot in slots:
            _close(slot)


def _serve(line: Connection, make_worker: MakeWorker | None, threads: int) -> None:
    """Run the jobs that are received; the main function of a worker process, which SIGTERM ends cleanly."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the parent ends its workers
    settle_process()

    def serve() -> None:
        with native_output_hidden(restore=False):
            worker = make_worker() if make_worker else Worker(threads)
            with suppress(EOFError, OSError):  # the parent has ended
                while (job := line.recv()) is not None:
                    line.send(worker.run(job))

    run_interruptible(serve, own_process=True)


def _open(make_worker: MakeWorker | None, threads: int) -> _WorkerSlot:
    ours, theirs = _PROCESSES.Pipe()
    process = _PROCESSES.Process(target=_serve, args=(theirs, make_worker, threads), daemon=True)
    with _ctrl_c_withheld():
        process.start()
    theirs.close()  # so that our end notices when the process ends
    return _WorkerSlot(process, ours)


@contextmanager
def _ctrl_c_withheld() -> Iterator[None]:
    """Block Ctrl-C in this thread, and permanently in processes that it starts, which would print tracebacks."""
    if sys.platform == "win32":
        yield
        return
    resource_tracker.ensure_running()  # if it were started later, it would unblock signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _give(slot: _WorkerSlot, waiting: deque[tuple[Job, int]]) -> None:
    """Send the next job, if there is one."""
    slot.job = None
    if waiting:
        slot.job, slot.attempt = waiting.popleft()
        try:
            slot.line.send(slot.job)
        except OSError:  # it died while idle, which the next `wait` reports
            return


def _receive(slot: _WorkerSlot) -> Outcome | None:
    """Return a worker's outcome, or None if it has died."""
    try:
        return replace(slot.line.recv(), attempts=slot.attempt)
    except (EOFError, OSError):
        return None


def _again(slot: _WorkerSlot, waiting: deque[tuple[Job, int]]) -> Outcome | None:
    """Queue the job of a dead worker again, or return its failure."""
    slot.process.join()
    job, attempt = slot.job, slot.attempt
    if job is None:
        return None
    if attempt < ATTEMPTS:
        waiting.append((job, attempt + 1))
        return None
    code = slot.process.exitcode
    return Outcome(
        job.name, f"its worker was killed {attempt} times (exit code {code}); out of memory?", 0, 0.0, attempt
    )


def _close(slot: _WorkerSlot) -> None:
    """End a worker."""
    if not slot.job:
        with suppress(OSError):
            slot.line.send(None)
    slot.process.join(10)
    if slot.process.is_alive():
        slot.process.kill()
    slot.line.close()
