"""Detect forked processes, which lack the networks' threads and would wait for them forever."""

from __future__ import annotations

import os
from functools import cache

from talkinghead.errors import ForkError


def check_process() -> None:
    """Record that this process uses networks, and check that it is not a fork of one that did.

    Raises:
        ForkError: It is such a fork.
    """
    if _home() != os.getpid():
        raise ForkError(
            f"this process was forked from one ({_home()}) that had used talkinghead, whose threads do not survive"
            ' that: start processes with multiprocessing.get_context("spawn"), or fork before the first use'
        )


@cache
def _home() -> int:
    """Return the id of the process that used networks first; forks inherit the cached value."""
    return os.getpid()
