"""The command `talkinghead edit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from talkinghead.cli.options import AsJson, Debug, Model, takes
from talkinghead.cli.report import report
from talkinghead.options import MODEL, CropOptions, EditOptions, Options, ProvenanceOptions, RenderOptions


@takes(CropOptions, EditOptions, RenderOptions, ProvenanceOptions)
def edit(
    source: Annotated[Path, typer.Argument(help="Portrait picture, or a video whose frames are edited alike.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="PNG, JPEG or WebP file to write; for a video or --keyframes, an MP4, GIF or animated WebP.",
        ),
    ],
    options: Options,
    model: Model = MODEL,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Change the expression and pose of a portrait or a video with sliders, or animate a portrait with keyframes."""
    from talkinghead.cli.progress import FrameBar

    with FrameBar() as bar:
        from talkinghead.api import edit

        summary = edit(source, output, options=options, model=model, progress=bar.progress)
    report(summary, as_json)
