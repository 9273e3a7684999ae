"""Print on standard output, which may be a file on a full disk or a pipe that nobody reads any more."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def checked_stdout() -> Iterator[None]:
    """End this process in one line, with exit code 1, if what it prints cannot be written.

    A closed pipe needs no message: whoever closed it wanted no more. Every entry point runs its command inside.

    Raises:
        SystemExit: Standard output cannot be written.
    """
    if sys.stdout is sys.__stdout__ and getattr(sys.stdout, "write_through", False):
        # `python -u` forgets what it could not write, so that flushing later would not show the failure.
        like = sys.stdout
        sys.stdout = os.fdopen(like.fileno(), "w", 1, encoding=like.encoding, errors=like.errors, closefd=False)
    try:
        yield
    finally:
        try:
            if sys.stdout is not None:
                sys.stdout.flush()  # fails again after a failure, with the same reason
        except OSError as error:
            _leave(error)


def _leave(error: OSError) -> None:
    """Say why standard output cannot be written, and exit.

    Raises:
        SystemExit: Always.
    """
    if not isinstance(error, BrokenPipeError):
        with suppress(OSError):
            sys.stderr.write(f"talkinghead: standard output cannot be written ({error.strerror}); send it elsewhere\n")
    # Otherwise Python reports at exit that the rest could not be flushed.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(1) from error
