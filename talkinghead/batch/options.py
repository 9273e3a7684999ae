"""The options of a batch."""

from __future__ import annotations

from dataclasses import dataclass, field

from talkinghead.inputs.settings import Checked, setting


@dataclass(frozen=True)
class PoolOptions(Checked):
    """Who does the jobs."""

    workers: int = setting(1, "How many jobs run at a time; each has its own networks in memory.", 1, 1024)
    ray: str = setting("", "Address of a Ray cluster: auto, HOST:PORT, ray://HOST:PORT, or local for one made here.")


@dataclass(frozen=True)
class BatchOptions:
    """All options of a batch together."""

    pool: PoolOptions = field(default_factory=PoolOptions)
