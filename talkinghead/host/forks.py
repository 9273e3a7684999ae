"""Networks do not survive a fork: their threads stay in the parent, and what waits for them in the child never ends."""

from __future__ import annotations

import os
from functools import cache

from talkinghead.errors import ForkError


def check_process() -> None:
    """Note that this process uses networks, or refuse to in a fork of one that did.

    Raises:
        ForkError: This process is such a fork.
    """
    if _home() != os.getpid():
        raise ForkError(
            f"this process was forked from one ({_home()}) that had used talkinghead, whose threads do not survive"
            ' that: start processes with multiprocessing.get_context("spawn"), or fork before the first use'
        )


@cache
def _home() -> int:
    """Return the process that used networks first; forks inherit the answer."""
    return os.getpid()
