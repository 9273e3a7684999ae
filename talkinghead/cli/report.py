"""What the program prints when a command has ended, and its exit codes."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, NoReturn

import typer

from talkinghead.cli.lines import LONGEST, escape, one_line
from talkinghead.wording import counted

if TYPE_CHECKING:
    from talkinghead.saving import Summary

FAILED = 1
"""Exit code after a user error."""
INTERRUPTED = 130
"""Exit code after Ctrl-C, as in shells."""


def report(made: Summary, as_json: bool) -> None:
    """Print what was written: one line or one JSON object on stdout, notes on stderr."""
    typer.echo(_as_json(made) if as_json else escape(_as_line(made)))
    for note in made.notes:
        say(note)


def say(message: str) -> None:
    """Print one line on stderr: an error or a note."""
    prefix = "talkinghead: "
    typer.echo(prefix + one_line(message, LONGEST - len(prefix)), err=True)


def fail(message: str) -> NoReturn:
    """Print one line on stderr and exit.

    Raises:
        SystemExit: Always, with `FAILED`.
    """
    say(message)
    sys.stdout.flush()
    raise SystemExit(FAILED)


def _as_line(made: Summary) -> str:
    if not made.seconds:
        return f"{made.file}: {made.width}×{made.height}"
    return (
        f"{made.file}: {counted(made.frames, 'frame')}, {made.seconds:.2f} s at {float(made.fps):g} fps, "
        f"{made.width}×{made.height}, made in {made.elapsed_seconds:.1f} s "
        f"({made.frames_per_second:.1f} frames per second)"
    )


def _as_json(made: Summary) -> str:
    values = {**asdict(made), "file": str(made.file), "fps": str(made.fps), "frames_per_second": made.frames_per_second}
    return json.dumps(values)
