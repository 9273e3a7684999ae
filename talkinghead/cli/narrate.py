"""The command `talkinghead narrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from talkinghead.cli.options import AsJson, Debug, Model, VoiceModel, takes
from talkinghead.cli.report import INTERRUPTED, report, say
from talkinghead.narration.options import CaptionOptions, NarrationOptions, SceneOptions, VoiceOptions, WorkOptions
from talkinghead.options import MODEL, VOICE_MODEL, CropOptions, MotionOptions, ProvenanceOptions, RenderOptions


@takes(
    CropOptions,
    VoiceOptions,
    SceneOptions,
    CaptionOptions,
    WorkOptions,
    MotionOptions,
    RenderOptions,
    ProvenanceOptions,
    into=NarrationOptions,
)
def narrate(
    source: Annotated[
        Path,
        typer.Argument(
            help="Portrait picture, or a video: subtitles dub it, with other scripts it is played to and fro."
        ),
    ],
    script: Annotated[Path, typer.Argument(help="Script to read: .txt, .md, .srt, .vtt or .yaml.")],
    output: Annotated[Path, typer.Option("--output", "-o", help=".mp4, .webm or .mov file to write.")],
    options: NarrationOptions,
    model: Model = MODEL,
    voice_model: VoiceModel = VOICE_MODEL,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Make a portrait read a script of any length; rerun to resume."""
    from talkinghead.cli.progress import FrameBar

    try:
        with FrameBar() as bar:
            from talkinghead.narration.narrate import narrate

            summary = narrate(
                source, script, output, options=options, model=model, voice_model=voice_model, progress=bar.progress
            )
    except KeyboardInterrupt:
        say("interrupted; rerun to resume from the finished parts")
        raise SystemExit(INTERRUPTED) from None
    report(summary, as_json)
