"""Workers on this machine: processes, each watched, so that one that is killed takes only its own job along."""

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
from talkinghead.host.signals import handle_signals, leave_at_once

ATTEMPTS = 2
"""How often a job is started whose worker is killed."""

_PROCESSES = multiprocessing.get_context("spawn")  # threads of the networks do not survive a fork

MakeWorker = Callable[[], Worker]


@dataclass
class _WorkerSlot:
    """A worker's process, the line to it, and what it is at."""

    process: Any
    line: Connection
    job: Job | None = None
    attempt: int = 0


def run_local(jobs: Sequence[Job], num_workers: int, make_worker: MakeWorker | None = None) -> Iterator[Outcome]:
    """Run jobs in processes of this machine.

    Args:
        jobs: What to do.
        num_workers: How many at a time.
        make_worker: Makes a worker in its process; importable by name.

    Yields:
        Outcomes as they come.
    """
    waiting = deque((job, 1) for job in jobs)
    count = min(num_workers, len(jobs))
    threads = max((os.cpu_count() or 1) // count, 1)
    desks: list[_WorkerSlot] = []
    try:
        while len(desks) < count:
            desks.append(_open(make_worker, threads))
        for desk in desks:
            _give(desk, waiting)
        while any(desk.job for desk in desks):
            ready = wait([desk.line for desk in desks if desk.job])
            for number, desk in enumerate(desks):
                if desk.line not in ready:
                    continue
                outcome = _hear(desk)
                if outcome is None:  # the process is gone
                    desks[number] = _open(make_worker, threads)
                    outcome = _again(desk, waiting)
                if outcome:
                    yield outcome
                _give(desks[number], waiting)
    finally:
        for desk in desks:
            if desk.job:  # at work, because we were interrupted
                desk.process.terminate()
        for desk in desks:
            _close(desk)


def _serve(line: Connection, make_worker: MakeWorker | None, threads: int) -> None:
    """Do what comes along the line: the work of a process, which SIGTERM ends tidily."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; ours ends the others
    settle_process()
    ended = False
    with handle_signals(own_process=True) as interruption, native_output_hidden():
        try:
            worker = make_worker() if make_worker else Worker(threads)
            with suppress(EOFError, OSError):  # whoever gave the jobs is gone
                while (job := line.recv()) is not None:
                    line.send(worker.run(job))
        except BaseException:
            interruption.stop()
            ended = bool(interruption.code)
            if not ended:
                raise
    if ended:
        leave_at_once(1)


def _open(make_worker: MakeWorker | None, threads: int) -> _WorkerSlot:
    ours, theirs = _PROCESSES.Pipe()
    process = _PROCESSES.Process(target=_serve, args=(theirs, make_worker, threads), daemon=True)
    with _ctrl_c_withheld():
        process.start()
    theirs.close()  # so that our end is told when the process goes
    return _WorkerSlot(process, ours)


@contextmanager
def _ctrl_c_withheld() -> Iterator[None]:
    """Withhold Ctrl-C from this thread, and for good from processes that it starts: they could only complain."""
    if sys.platform == "win32":
        yield
        return
    resource_tracker.ensure_running()  # or it is started meanwhile, and lets signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _give(desk: _WorkerSlot, waiting: deque[tuple[Job, int]]) -> None:
    """Hand out the next job, if there is one."""
    desk.job = None
    if waiting:
        desk.job, desk.attempt = waiting.popleft()
        try:
            desk.line.send(desk.job)
        except OSError:  # it died while it was idle: the line is ready at once, and says so
            return


def _hear(desk: _WorkerSlot) -> Outcome | None:
    """Return what a worker reports; None if it is gone."""
    try:
        return replace(desk.line.recv(), attempts=desk.attempt)
    except (EOFError, OSError):
        return None


def _again(desk: _WorkerSlot, waiting: deque[tuple[Job, int]]) -> Outcome | None:
    """Put the job of a worker that is gone back, or give it up."""
    desk.process.join()
    job, attempt = desk.job, desk.attempt
    if job is None:
        return None
    if attempt < ATTEMPTS:
        waiting.append((job, attempt + 1))
        return None
    code = desk.process.exitcode
    return Outcome(
        job.name, f"its worker was killed {attempt} times (exit code {code}); out of memory?", 0, 0.0, attempt
    )


def _close(desk: _WorkerSlot) -> None:
    """Let a worker go."""
    if not desk.job:
        with suppress(OSError):
            desk.line.send(None)
    desk.process.join(10)
    if desk.process.is_alive():
        desk.process.kill()
    desk.line.close()
