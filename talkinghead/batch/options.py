"""The options of a batch."""

from __future__ import annotations

from dataclasses import dataclass, field

from talkinghead.inputs.settings import Checked, setting


@dataclass(frozen=True)
class PoolOptions(Checked):
    """The workers that run the jobs."""

    workers: int = setting(1, "Number of jobs that run at a time; each loads its own models into memory.", 1, 1024)
    ray: str = setting("", "Address of a Ray cluster: auto, HOST:PORT or ray://HOST:PORT; local starts one here.")


@dataclass(frozen=True)
class BatchOptions:
    """All options of a batch together."""

    pool: PoolOptions = field(default_factory=PoolOptions)
