"""What the command line does to its own process, and its workers to theirs; the library leaves a process as it is."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from talkinghead.host.malloc import keep_freed_memory


def settle_process() -> None:
    """Make this process a good place for networks; call it before torch is imported.

    Threads of the networks sleep while they wait for each other. Spinning, OpenMP's default, makes a video five times
    slower as soon as anything else, its own encoder included, wants a core.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed_memory()
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # of libraries, about files that are odd but can be read


@contextmanager
def native_output_hidden() -> Iterator[None]:
    """Keep off the terminal what MediaPipe's native code prints, which no setting of its own silences.

    Descriptor 2 leads nowhere meanwhile; `sys.stderr` writes to a copy of what it was.
    """
    shown = sys.stderr
    if shown is None or shown is not sys.__stderr__:  # there is none, or somebody collects what is said
        yield
        return
    shown.flush()
    number, nowhere = shown.fileno(), os.open(os.devnull, os.O_WRONLY)
    terminal = os.dup(number)
    os.dup2(nowhere, number)
    os.close(nowhere)
    try:
        with open(terminal, "w", 1, shown.encoding, shown.errors, closefd=False) as sys.stderr:
            yield
    finally:
        sys.stderr = shown
        os.dup2(terminal, number)
        os.close(terminal)
