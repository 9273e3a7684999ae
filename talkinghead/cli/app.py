"""The command line. It holds no defaults and does no arithmetic: options come from `talkinghead.options`."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from liveportrait.errors import PortraitError
from talkinghead.cli.batch import batch
from talkinghead.cli.entry import main  # noqa: F401 — this is where it is looked for
from talkinghead.cli.lines import LONGEST, escape, one_line
from talkinghead.cli.narrate import narrate
from talkinghead.cli.options import takes
from talkinghead.host.process import native_output_hidden, settle_process
from talkinghead.options import (
    MODEL,
    VOICE_MODEL,
    CropOptions,
    DriveOptions,
    EditOptions,
    LiveOptions,
    MotionOptions,
    Options,
    RenderOptions,
    assign_drivers,
)

if TYPE_CHECKING:
    from talkinghead.api import Summary

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Give it a portrait and a voice; it gives back a video of that portrait speaking.",
)


_VOICES = "mini (embedded), joyvasa (fetched once; moves base and animals), or a folder."

_READING = {"trim", "driver_scale", "driver_x", "driver_y", "fps", "device", "overwrite"}
_NOT_LIVE = {"anchor", "trim", "loop", "audio", "save_template", "concat", "batch_size", "dense_residual"}

Json = Annotated[bool, typer.Option("--json", help="Print what was made as one JSON object.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show where an error comes from.")]


@app.command()
@takes(CropOptions, MotionOptions, RenderOptions)
def speak(
    source: Annotated[Path, typer.Argument(help="Portrait: PNG, JPEG, WebP, HEIC, AVIF, BMP or TIFF.")],
    audio: Annotated[Path, typer.Argument(help="Voice: wav, mp3, flac, ogg, m4a or a video with sound.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The mp4 to write.")],
    options: Options,
    model: Annotated[str, typer.Option(help="mini (embedded), base or animals (fetched once), or a folder.")] = MODEL,
    voice_model: Annotated[str, typer.Option(help=_VOICES)] = VOICE_MODEL,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Let a portrait speak."""
    _speak(source, audio, output, options, model, voice_model, as_json)


@app.command()
@takes(CropOptions, DriveOptions, RenderOptions, leave={"face"})
def reenact(
    source: Annotated[Path, typer.Argument(help="Portrait: a picture, or a video that keeps its own motion.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The mp4 to write.")],
    options: Options,
    driver: Annotated[
        Path | None, typer.Argument(help="Video or picture of a face, or a .safetensors template.")
    ] = None,
    face: Annotated[
        list[str] | None,
        typer.Option(
            help="Which face follows, counted from 0 at the left; the largest unless given. N=DRIVER gives it a driver"
            " of its own; repeat it for several faces."
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="mini (embedded), base or animals (fetched once), or a folder.")] = MODEL,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Let a portrait follow the face of a video or a picture, or a motion template."""
    from talkinghead.cli.progress import FrameBar

    with FrameBar() as bar:
        from talkinghead.api import reenact

        assigned = assign_drivers(face or (), driver)
        summary = reenact(
            source,
            assigned,
            output,
            options=options,
            model=model,
            progress=bar.progress,
        )
    report(summary, as_json)


@app.command()
@takes(DriveOptions, RenderOptions, only=_READING)
def template(
    driver: Annotated[Path, typer.Argument(help="Video or picture of a face.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .safetensors to write.")],
    options: Options,
    model: Annotated[str, typer.Option(help="The model that shall follow the template.")] = MODEL,
    debug: Debug = False,
) -> None:
    """Write a driver's motion into a file that drives as well, and at once."""
    from talkinghead.cli.progress import FrameBar

    with FrameBar() as bar:
        from talkinghead.api import template

        made = template(driver, output, options=options, model=model, progress=bar.progress)
    typer.echo(escape(f"{output}: {len(made.motion)} frames at {float(made.fps):g} fps"))
    for note in made.notes:
        say(note)


@app.command()
@takes(CropOptions, EditOptions, RenderOptions)
def edit(
    source: Annotated[Path, typer.Argument(help="Portrait: PNG, JPEG, WebP, HEIC, AVIF, BMP or TIFF.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The PNG, JPEG or WebP to write; with --keyframes the mp4.")
    ],
    options: Options,
    model: Annotated[str, typer.Option(help="mini (embedded), base or animals (fetched once), or a folder.")] = MODEL,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Change a face by hand, once or from keyframe to keyframe."""
    from talkinghead.cli.progress import FrameBar

    with FrameBar() as bar:
        from talkinghead.api import edit

        summary = edit(source, output, options=options, model=model, progress=bar.progress)
    report(summary, as_json)


@app.command()
@takes(CropOptions, LiveOptions, DriveOptions, RenderOptions, leave=_NOT_LIVE)
def live(
    source: Annotated[Path, typer.Option(help="Portrait: PNG, JPEG, WebP, HEIC, AVIF, BMP or TIFF.")],
    options: Options,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="The mp4 to write, or - for plain RGB on stdout; a window unless given."),
    ] = None,
    model: Annotated[str, typer.Option(help="mini (embedded), base or animals (fetched once), or a folder.")] = MODEL,
    debug: Debug = False,
) -> None:
    """Let a portrait do what a face before a camera does, at once."""
    from talkinghead.realtime.session import run_live

    made = run_live(source, output, options, model)
    typer.echo(
        f"{made.frames} frames in {made.seconds:.1f} s, {made.size[1]}×{made.size[0]} at {float(made.fps):g} fps",
        err=True,
    )


@app.command()
def download(
    model: Annotated[str, typer.Argument(help="base, animals or joyvasa.")],
    debug: Debug = False,
) -> None:
    """Fetch published weights once, after saying what their licence is."""
    from talkinghead.cli.progress import ByteBar

    with ByteBar() as bar:
        from talkinghead.models import fetch_model

        folder = fetch_model(model, bar.say, bar.fetched)
    typer.echo(f"{model}: complete in {folder}")


@app.command()
@takes(RenderOptions)
def demo(
    options: Options,
    output: Annotated[Path, typer.Option("--output", "-o", help="The mp4 to write.")] = Path("demo.mp4"),
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Let the portrait that ships with the program say what the program is."""
    from talkinghead.cli.demo import demo_inputs

    _speak(*demo_inputs(), output, options, MODEL, VOICE_MODEL, as_json)


app.command()(narrate)
app.command()(batch)


@app.callback(invoke_without_command=True)
def _talkinghead(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    if version:
        from importlib.metadata import version as version_of

        typer.echo(f"talkinghead {version_of('talkinghead')}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run(arguments: Sequence[str]) -> None:
    """Run a command, of which `main` says what it exits with.

    Raises:
        KeyboardInterrupt: The user has had enough.
    """
    settle_process()
    with nullcontext() if "--debug" in arguments else native_output_hidden():
        _run(arguments)


def _run(arguments: Sequence[str]) -> None:
    try:
        if app(args=list(arguments), standalone_mode=False) == INTERRUPTED:  # how some versions of typer say it
            raise KeyboardInterrupt
    except typer.Abort:
        raise KeyboardInterrupt from None
    except PortraitError as error:
        if "--debug" in arguments:
            traceback.print_exc()
        _fail(str(error))
    except Exception as error:
        # Usage errors are typer's, whose class depends on its version: those that can say it in one line.
        said = getattr(error, "format_message", None)
        if said is None:
            raise
        _fail(f"{said().rstrip('.')}; see talkinghead --help")


def _speak(
    source: Path, audio: Path, output: Path, options: Options, model: str, voice_model: str, as_json: bool
) -> None:
    from talkinghead.cli.progress import FrameBar

    with FrameBar() as bar:
        from talkinghead.api import speak

        summary = speak(
            source, audio, output, options=options, model=model, voice_model=voice_model, progress=bar.progress
        )
    report(summary, as_json)


def report(made: Summary, as_json: bool) -> None:
    """Say what was made."""
    typer.echo(_as_json(made) if as_json else escape(_as_line(made)))
    for note in made.notes:
        say(note)


def say(message: str) -> None:
    """Print one line on stderr: a mistake or a note."""
    prefix = "talkinghead: "
    typer.echo(prefix + one_line(message, LONGEST - len(prefix)), err=True)


def _as_line(made: Summary) -> str:
    if not made.seconds:
        return f"{made.file}: {made.width}×{made.height}"
    return (
        f"{made.file}: {made.frames} frames, {made.seconds:.2f} s at {float(made.fps):g} fps, "
        f"{made.width}×{made.height}, made in {made.elapsed_seconds:.1f} s "
        f"({made.frames_per_second:.1f} frames per second)"
    )


def _as_json(made: Summary) -> str:
    values = {**asdict(made), "file": str(made.file), "fps": str(made.fps), "frames_per_second": made.frames_per_second}
    return json.dumps(values)


def _fail(message: str) -> None:
    """Say what is wrong in one line and leave."""
    say(message)
    sys.stdout.flush()
    raise SystemExit(1)
