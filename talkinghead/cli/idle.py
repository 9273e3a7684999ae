"""The command `talkinghead idle`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from talkinghead.cli.options import AsJson, Debug, Model, Portrait, VoiceModel, takes
from talkinghead.cli.report import report
from talkinghead.options import (
    MODEL,
    VOICE_MODEL,
    CropOptions,
    IdleOptions,
    MotionOptions,
    Options,
    ProvenanceOptions,
    RenderOptions,
)

_OF_SPEECH = {"reference", "lips_only", "lip_strength"}


@takes(
    CropOptions,
    MotionOptions,
    IdleOptions,
    RenderOptions,
    ProvenanceOptions,
    leave={"reference", "lips_only", "lip_strength"},
)
def idle(
    source: Portrait,
    output: Annotated[Path, typer.Option("--output", "-o", help="MP4, GIF or animated WebP file to write.")],
    options: Options,
    model: Model = MODEL,
    voice_model: VoiceModel = VOICE_MODEL,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Animate a portrait that says nothing: it breathes, blinks and looks about."""
    from talkinghead.cli.progress import FrameBar

    with FrameBar() as bar:
        from talkinghead.idling import idle

        summary = idle(source, output, options=options, model=model, voice_model=voice_model, progress=bar.progress)
    report(summary, as_json)
