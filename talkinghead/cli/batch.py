"""The command `talkinghead batch`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from talkinghead.batch.options import BatchOptions, PoolOptions
from talkinghead.cli.lines import one_line
from talkinghead.cli.options import Debug, takes
from talkinghead.cli.report import FAILED, INTERRUPTED, say
from talkinghead.wording import counted


@takes(PoolOptions, into=BatchOptions)
def batch(
    jobs: Annotated[Path, typer.Argument(help="YAML file of speak, reenact and narrate jobs.")],
    options: BatchOptions,
    as_json: Annotated[bool, typer.Option("--json", help="Print each result as a JSON object.")] = False,
    debug: Debug = False,
) -> None:
    """Make many videos; a job that fails is reported and the others continue."""
    from talkinghead.batch.runner import batch

    asked, outcomes = batch(jobs, options)
    failed, done = 0, 0
    try:
        for done, outcome in enumerate(outcomes, 1):
            failed += bool(outcome.error)
            said = outcome.error or f"{counted(outcome.frames, 'frame')} in {outcome.seconds:.1f} s"
            line = one_line(f"[{done}/{len(asked)}] {outcome.name}: {said}")
            text = json.dumps(asdict(outcome)) if as_json else line
            typer.echo(text, err=bool(outcome.error) and not as_json)
    except KeyboardInterrupt:
        say(f"interrupted; {done - failed} of {len(asked)} videos are there")
        raise SystemExit(INTERRUPTED) from None
    if failed:
        say(f"{failed} of {len(asked)} jobs failed")
        raise SystemExit(FAILED)
