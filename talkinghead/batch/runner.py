"""Run a file of jobs on this machine or on a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from talkinghead.batch.cluster import run_on_ray
from talkinghead.batch.jobs import Job, read_jobs
from talkinghead.batch.local import run_local
from talkinghead.batch.options import BatchOptions
from talkinghead.batch.work import Outcome


def batch(file: str | Path, options: BatchOptions | None = None) -> tuple[Sequence[Job], Iterator[Outcome]]:
    """Run jobs.

    Args:
        file: A YAML file of jobs.
        options: The workers.

    Returns:
        The jobs, and their outcomes in the order in which they end; a failed job does not stop the others.

    Raises:
        PortraitError: The file is invalid, or the cluster does not exist.
    """
    jobs, pool = read_jobs(file), (options or BatchOptions()).pool
    return jobs, run_on_ray(jobs, pool.workers, pool.ray) if pool.ray else run_local(jobs, pool.workers)
