"""The commands `talkinghead speak` and `talkinghead demo`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from talkinghead.cli.demo import demo_inputs
from talkinghead.cli.options import AsJson, Debug, Model, VoiceModel, takes
from talkinghead.cli.report import report
from talkinghead.inputs.option_values import assign_drivers
from talkinghead.options import (
    MODEL,
    VOICE_MODEL,
    CropOptions,
    DubOptions,
    MotionOptions,
    Options,
    ProvenanceOptions,
    RenderOptions,
    StrPath,
)


@takes(CropOptions, MotionOptions, DubOptions, RenderOptions, ProvenanceOptions, leave={"face"})
def speak(
    source: Annotated[Path, typer.Argument(help="Portrait picture, or a video whose mouth gets the new voice.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="MP4, GIF or animated WebP file to write.")],
    options: Options,
    audio: Annotated[
        Path | None, typer.Argument(help="Speech: WAV, MP3, FLAC, Ogg, M4A, or a video with sound.")
    ] = None,
    face: Annotated[
        list[str] | None,
        typer.Option(
            help="Face to animate, counted from 0 at the left; default: the largest face of a picture, the only one of"
            " a video. In a video N=VOICE gives that face a voice of its own; repeat the option for a dialogue."
        ),
    ] = None,
    model: Model = MODEL,
    voice_model: VoiceModel = VOICE_MODEL,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Animate a portrait from speech, or give the people of a video new voices."""
    voices = assign_drivers(face or (), audio, "voice", "a sound")
    _speak(source, voices, output, options, model, voice_model, as_json)


@takes(RenderOptions, ProvenanceOptions)
def demo(
    options: Options,
    output: Annotated[Path, typer.Option("--output", "-o", help="MP4, GIF or animated WebP file to write.")] = Path(
        "demo.mp4"
    ),
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Animate the example portrait with the example speech that ship with the program."""
    portrait, voice = demo_inputs()
    _speak(portrait, {None: voice}, output, options, MODEL, VOICE_MODEL, as_json)


def _speak(
    source: Path,
    voices: Mapping[int | None, StrPath],
    output: Path,
    options: Options,
    model: str,
    voice_model: str,
    as_json: bool,
) -> None:
    from talkinghead.cli.progress import FrameBar

    with FrameBar() as bar:
        from talkinghead.api import speak

        summary = speak(
            source, voices, output, options=options, model=model, voice_model=voice_model, progress=bar.progress
        )
    report(summary, as_json)
