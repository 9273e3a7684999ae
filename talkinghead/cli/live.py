"""The command `talkinghead live`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from talkinghead.cli.options import PORTRAIT, Debug, Model, takes
from talkinghead.options import MODEL, CropOptions, DriveOptions, LiveOptions, Options, ProvenanceOptions, RenderOptions
from talkinghead.wording import counted

_NOT_LIVE = {"anchor", "trim", "loop", "audio", "save_template", "concat", "batch_size", "dense_residual"}
"""Options that need the whole driving video, or have no meaning for one frame at a time."""


@takes(CropOptions, LiveOptions, DriveOptions, RenderOptions, ProvenanceOptions, leave=_NOT_LIVE)
def live(
    source: Annotated[Path, typer.Option(help=PORTRAIT)],
    options: Options,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", help="MP4 file to write, or - for raw RGB frames on stdout; default: show a window."
        ),
    ] = None,
    model: Model = MODEL,
    debug: Debug = False,
) -> None:
    """Drive a portrait live from a webcam."""
    from talkinghead.realtime.session import run_live

    made = run_live(source, output, options, model)
    typer.echo(
        f"{counted(made.frames, 'frame')} in {made.seconds:.1f} s, {made.size[1]}×{made.size[0]}"
        f" at {float(made.fps):g} fps",
        err=True,
    )
