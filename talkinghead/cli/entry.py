"""The entry point, light enough to be loaded before the first signal: exit codes and standard streams."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext

from liveportrait.printing import checked_stdout
from talkinghead.host.signals import run_interruptible


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program: exit code 0, 1 after a mistake of the user's, 130 after Ctrl-C, 143 after SIGTERM.

    Args:
        arguments: What the user said; None for what was said to this process, which then ends with the program.
    """
    own_process = arguments is None
    if own_process:
        open_streams()

    def program() -> None:
        from talkinghead.cli.app import run

        with checked_stdout() if own_process else nullcontext():
            run(sys.argv[1:] if arguments is None else arguments, own_process=own_process)

    run_interruptible(program, own_process=own_process, message="talkinghead: interrupted; nothing was written\n")


def open_streams() -> None:
    """Make sure that descriptors 0 to 2 are taken, lest a video gets a number that everybody prints to."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest number that is free
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)
