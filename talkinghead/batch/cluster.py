"""Run jobs on a Ray cluster, with workers that load the networks once and are replaced if they are killed."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from talkinghead.batch.jobs import Job
from talkinghead.batch.local import ATTEMPTS, MakeWorker
from talkinghead.batch.work import Outcome, Worker
from talkinghead.errors import OptionError
from talkinghead.host.process import settle_process

LOCAL = "local"
"""The address of a temporary cluster on this machine."""


def run_on_ray(
    jobs: Sequence[Job], num_workers: int, address: str, make_worker: MakeWorker = Worker
) -> Iterator[Outcome]:
    """Run jobs on a Ray cluster; all of its machines must have the files under the same paths.

    Args:
        jobs: The jobs.
        num_workers: The number of workers.
        address: The cluster's address in Ray's terms: "auto", "HOST:PORT", "ray://HOST:PORT"; or "local".
        make_worker: Creates a worker.

    Yields:
        Outcomes in the order in which jobs end.

    Raises:
        OptionError: Ray is not installed, or there is no cluster at the address.
    """
    ray = _connect(address, num_workers)
    try:
        yield from _run(ray, jobs, min(num_workers, len(jobs)), make_worker)
    finally:
        ray.shutdown()


def _run(ray: Any, jobs: Sequence[Job], count: int, make_worker: MakeWorker) -> Iterator[Outcome]:
    actor = ray.remote(num_cpus=1, max_restarts=0)(_Actor)
    idle = [actor.remote(make_worker) for _ in range(count)]
    waiting = [(job, 1) for job in reversed(jobs)]
    running: dict[Any, tuple[Any, Job, int]] = {}
    while waiting or running:
        while waiting and idle:
            job, attempt = waiting.pop()
            worker = idle.pop()
            running[worker.run.remote(job)] = (worker, job, attempt)
        (done,), _ = ray.wait(list(running), num_returns=1)
        worker, job, attempt = running.pop(done)
        try:
            outcome = replace(ray.get(done), attempts=attempt)
            idle.append(worker)
            yield outcome
        except ray.exceptions.RayError as error:
            idle.append(actor.remote(make_worker))  # replace the lost worker
            if attempt < ATTEMPTS:
                waiting.append((job, attempt + 1))
            else:
                yield Outcome(
                    job.name, f"its worker was lost {attempt} times ({type(error).__name__})", attempts=attempt
                )


class _Actor:
    """A Ray actor with a worker."""

    def __init__(self, make_worker: MakeWorker) -> None:
        settle_process()
        self._worker = make_worker()

    def run(self, job: Job) -> Outcome:
        return self._worker.run(job)


def _connect(address: str, num_workers: int) -> Any:
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray  # pyright: ignore[reportMissingImports] — an extra
    except ImportError:
        raise OptionError('ray is not installed: pip install "talkinghead[ray]", or leave --ray out') from None
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    where: dict[str, Any] = {"address": address}
    if address == LOCAL:
        where = {"address": LOCAL, "num_cpus": num_workers, "include_dashboard": False}
    try:
        ray.init(**where, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise OptionError(f"no Ray cluster at {address!r} ({' '.join(str(error).split())[:200]})") from error
    return ray
