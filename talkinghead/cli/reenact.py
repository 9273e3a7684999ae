"""The commands `talkinghead reenact` and `talkinghead template`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from talkinghead.cli.lines import escape
from talkinghead.cli.options import AsJson, Debug, Model, takes
from talkinghead.cli.report import report, say
from talkinghead.inputs.option_values import assign_drivers
from talkinghead.options import MODEL, CropOptions, DriveOptions, Options, ProvenanceOptions, RenderOptions
from talkinghead.wording import counted

_FOR_TEMPLATES = {
    *("trim", "driver_crop", "driver_scale", "driver_x", "driver_y"),
    *("fps", "device", "landmarks", "overwrite"),
}
"""The options that reading a driving video has."""


@takes(CropOptions, DriveOptions, RenderOptions, ProvenanceOptions, leave={"face"})
def reenact(
    source: Annotated[Path, typer.Argument(help="Portrait picture, or a video whose own motion is kept.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="MP4, GIF or animated WebP file to write.")],
    options: Options,
    driver: Annotated[
        Path | None, typer.Argument(help="Driving video or picture of a face, or a .safetensors template.")
    ] = None,
    face: Annotated[
        list[str] | None,
        typer.Option(
            help="Face to animate, counted from 0 at the left; default: the largest face. N=DRIVER gives that face a"
            " driver of its own; repeat the option for several faces."
        ),
    ] = None,
    model: Model = MODEL,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Animate a portrait from a driving video, a picture or a motion template."""
    from talkinghead.cli.progress import FrameBar

    with FrameBar() as bar:
        from talkinghead.api import reenact

        assigned = assign_drivers(face or (), driver)
        summary = reenact(source, assigned, output, options=options, model=model, progress=bar.progress)
    report(summary, as_json)


@takes(DriveOptions, RenderOptions, only=_FOR_TEMPLATES)
def template(
    driver: Annotated[Path, typer.Argument(help="Driving video or picture of a face.")],
    output: Annotated[Path, typer.Option("--output", "-o", help=".safetensors file to write.")],
    options: Options,
    model: Annotated[str, typer.Option(help="Model that the template is for.")] = MODEL,
    debug: Debug = False,
) -> None:
    """Save driving motion as a reusable template."""
    from talkinghead.cli.progress import FrameBar

    with FrameBar() as bar:
        from talkinghead.api import template

        made = template(driver, output, options=options, model=model, progress=bar.progress)
    typer.echo(escape(f"{output}: {counted(len(made.motion), 'frame')} at {float(made.fps):g} fps"))
    for note in made.notes:
        say(note)
