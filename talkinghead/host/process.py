"""Set up the processes of the command line and of workers; the library does not change its caller's process."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from liveportrait import process


def settle_process() -> None:
    """Configure this process for networks, and silence its libraries; call it before torch is imported."""
    process.settle_process()
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # from libraries, about unusual files that can be read


@contextmanager
def native_output_hidden(*, restore: bool = True) -> Iterator[None]:
    """Hide the output of MediaPipe's native code, which has no setting for that.

    File descriptor 2 is redirected to the null device; `sys.stderr` writes to a copy of the original one.

    Args:
        restore: Whether to undo this at the end; not where the process ends then, because MediaPipe's threads may
            still be starting, and say so.
    """
    shown = sys.stderr
    if shown is None or shown is not sys.__stderr__:  # there is none, or it is captured
        yield
        return
    shown.flush()
    number, nowhere = shown.fileno(), os.open(os.devnull, os.O_WRONLY)
    terminal = os.dup(number)
    os.dup2(nowhere, number)
    os.close(nowhere)
    copy = sys.stderr = os.fdopen(terminal, "w", 1, shown.encoding, shown.errors, closefd=False)
    try:
        yield
    finally:
        copy.flush()
        if restore:
            sys.stderr = shown
            os.dup2(terminal, number)
            os.close(terminal)
