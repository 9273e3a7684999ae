"""The commands `talkinghead speak` and `talkinghead demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from talkinghead.cli.demo import demo_inputs
from talkinghead.cli.options import AsJson, Debug, Model, Portrait, VoiceModel, takes
from talkinghead.cli.report import report
from talkinghead.options import MODEL, VOICE_MODEL, CropOptions, MotionOptions, Options, RenderOptions


@takes(CropOptions, MotionOptions, RenderOptions)
def speak(
    source: Portrait,
    audio: Annotated[Path, typer.Argument(help="Speech: WAV, MP3, FLAC, Ogg, M4A, or a video with sound.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="MP4, GIF or animated WebP file to write.")],
    options: Options,
    model: Model = MODEL,
    voice_model: VoiceModel = VOICE_MODEL,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Animate a portrait from speech."""
    _speak(source, audio, output, options, model, voice_model, as_json)


@takes(RenderOptions)
def demo(
    options: Options,
    output: Annotated[Path, typer.Option("--output", "-o", help="MP4, GIF or animated WebP file to write.")] = Path(
        "demo.mp4"
    ),
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Animate the example portrait with the example speech that ship with the program."""
    _speak(*demo_inputs(), output, options, MODEL, VOICE_MODEL, as_json)


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
