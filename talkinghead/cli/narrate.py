"""The command `talkinghead narrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from talkinghead.cli.options import takes
from talkinghead.narration.options import CaptionOptions, NarrationOptions, SceneOptions, VoiceOptions, WorkOptions
from talkinghead.options import MODEL, CropOptions, MotionOptions, RenderOptions


@takes(
    CropOptions,
    VoiceOptions,
    SceneOptions,
    CaptionOptions,
    WorkOptions,
    MotionOptions,
    RenderOptions,
    into=NarrationOptions,
)
def narrate(
    avatar: Annotated[Path, typer.Argument(help="Portrait of the speaker: PNG, JPEG, WebP, HEIC, AVIF, BMP or TIFF.")],
    script: Annotated[Path, typer.Argument(help="What to say: .txt, .md, .srt, .vtt or .yaml.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .mp4, .webm or .mov to write.")],
    options: NarrationOptions,
    model: Annotated[str, typer.Option(help="mini (embedded), base or animals (fetched once), or a folder.")] = MODEL,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made as one JSON object.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error comes from.")] = False,
) -> None:
    """Let a portrait read a script aloud, however long it is; run it again to go on where it stopped."""
    from talkinghead.cli.app import INTERRUPTED, report, say
    from talkinghead.cli.progress import FrameBar

    try:
        with FrameBar() as bar:
            from talkinghead.narration.narrate import narrate

            summary = narrate(avatar, script, output, options=options, model=model, progress=bar.progress)
    except KeyboardInterrupt:
        say("interrupted; run it again to go on from the parts that are complete")
        raise SystemExit(INTERRUPTED) from None
    report(summary, as_json)
