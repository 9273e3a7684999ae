"""Commands for the table of LivePortrait's paper, for any model: reenactment, speech, retargeting, stitching.

Every figure is measured on generated pictures, whose landmarks are found anew. docs/evaluation.md describes them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from talkinghead.cli.options import takes
from talkinghead.evaluation.cross import cross_clip, cross_pairs
from talkinghead.evaluation.files import judge_file, pairs_in
from talkinghead.evaluation.judged import Judged, by_turn, fid, judge_all, mean_of, models_mark
from talkinghead.evaluation.options import (
    Clips,
    Every,
    LookOptions,
    Most,
    RunOptions,
    Settings,
    clips_in,
    clips_with_next,
)
from talkinghead.evaluation.reenact import EVERY, reenact_clip
from talkinghead.evaluation.report import report, write_figures
from talkinghead.evaluation.retargeting import retarget_clip
from talkinghead.evaluation.sanity import judge_changes, judge_speech_changes
from talkinghead.evaluation.speak import speak_clip
from talkinghead.evaluation.stitching import stitch_clip
from talkinghead.evaluation.theval import natural_score
from talkinghead.models import load_models


def show(title: str, judged: dict[str, Judged], output: str | None, further: dict[str, float] | None = None) -> None:
    """Print and write the figures of clips, and what is measured on all of them together."""
    rows = {name: each.figures() for name, each in judged.items()}
    whole = fid(judged.values()) | (further or {})
    report(title, rows, output, {"together": whole} if whole else None)


@takes(RunOptions, LookOptions, into=Settings)
def reenact(clips: Clips, options: Settings, every: Every = EVERY, most: Most = None) -> None:
    """Drive each clip's first frame with its later frames; compare with copying and with warping alone."""
    run, models, networks = options.run, options.run.load(), options.look.load()
    judged = judge_all(
        clips_in(clips, run.limit),
        lambda clip: reenact_clip(clip, models, networks, every, most),
        run.kept,
        f"reenact {models_mark(models)} {every} {most} {options.look}",
        run.minutes,
    )
    show(f"reenact, {run.model}", judged, run.output)
    report(
        f"reenact, {run.model}, by how far the head is turned from the source's",
        dict(by_turn(judged.values())),
        summary=False,
    )


@takes(RunOptions, LookOptions, into=Settings)
def cross(
    clips: Clips,
    options: Settings,
    sources: Annotated[
        Path | None, typer.Option(help="Folder of pictures to animate in turn; default: the next clip's first frame.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="How much of each clip is followed.")] = 4.0,
    relative: Annotated[bool, typer.Option(help="Follow the driver's changes, or its own pose and expression.")] = True,
    every: Every = EVERY,
) -> None:
    """Let each clip drive another person's picture; compare expression, pose and gaze with it, and the identity."""
    run, models, networks = options.run, options.run.load(), options.look.load()
    pairs = cross_pairs(list(clips_in(clips, None)), sources)
    judged = judge_all(
        clips_in(clips, run.limit),
        lambda clip: cross_clip(pairs[clip], clip, models, networks, seconds, every, relative),
        run.kept,
        f"cross {models_mark(models)} {sources} {seconds} {relative} {every} {options.look}",
        run.minutes,
        pairs,
    )
    show(f"cross, {run.model}", judged, run.output)


@takes(RunOptions, into=Settings)
def speak(clips: Clips, options: Settings, seed: int = 0) -> None:
    """Drive each clip's first frame with its sound; compare the lips with the real ones. Silent clips are skipped."""
    run, models, networks = options.run, options.run.load(), options.look.load(pictures=False)
    judged = judge_all(
        clips_in(clips, run.limit),
        lambda clip: speak_clip(clip, models, networks, seed),
        run.kept,
        f"speak {models_mark(models)} {seed}",
        run.minutes,
    )
    show(f"speak, {run.model}", judged, run.output, {"natural": natural_score(mean_of(judged.values()))})


@takes(RunOptions, into=Settings)
def retarget(clips: Clips, options: Settings) -> None:
    """Open and close the eyes and lips of each clip's first frame; compare the openness asked for with that reached."""
    run, models = options.run, options.run.load()
    judged = judge_all(
        clips_in(clips, run.limit),
        lambda clip: retarget_clip(clip, models),
        run.kept,
        f"retarget {models_mark(models)}",
        run.minutes,
    )
    show(f"retarget, {run.model}", judged, run.output)


@takes(RunOptions, into=Settings)
def stitch(
    clips: Clips,
    options: Settings,
    every: Every = 10,
    most: Annotated[int, typer.Option(help="Render so many frames.", min=1)] = 10,
) -> None:
    """Let each clip's first frame follow the next clip; measure how much the crop's border and the shoulders change."""
    run, models = options.run, options.run.load()
    drivers = dict(clips_with_next(clips, run.limit))
    judged = judge_all(
        drivers,
        lambda clip: stitch_clip(clip, drivers[clip], models, every, most),
        run.kept,
        f"stitch {models_mark(models)} {every} {most}",
        run.minutes,
        drivers,
    )
    show(f"stitch, {run.model}", judged, run.output)


@takes(RunOptions, LookOptions, only={"device", "limit", "output", "perception", "fid_network"}, into=Settings)
def sanity(
    clips: Clips,
    options: Settings,
    model: Annotated[str | None, typer.Option(help="Also judge this model, which follows each clip.")] = None,
    every: Every = 10,
    most: Annotated[int, typer.Option(help="Judge so many frames of a clip.", min=1)] = 10,
    speech: Annotated[bool, typer.Option(help="Judge the speech of whole clips too.")] = True,
) -> None:
    """Change real clips in known ways and judge them: each figure has to move when it should."""
    networks = options.look.load()
    models = None if model is None else load_models(model, options.run.device)
    judged: dict[str, list[Judged]] = {}
    spoken: dict[str, list[Judged]] = {}
    for clip, other in clips_with_next(clips, options.run.limit):
        for change, found in judge_changes(clip, other, networks, every, most).items():
            judged.setdefault(change, []).append(found)
        for change, found in judge_speech_changes(clip, other, networks).items() if speech else ():
            spoken.setdefault(change, []).append(found)
        if models is not None:
            judged.setdefault(f"{model}", []).append(reenact_clip(clip, models, networks, every, most))
    rows = {change: mean_of(each) | fid(each) for change, each in judged.items()}
    means = {change: mean_of(each) for change, each in spoken.items()}
    speech_rows = {change: mean | {"natural": natural_score(mean)} for change, mean in means.items()}
    report("sanity", rows, summary=False)
    if speech_rows:
        report("sanity, speech", speech_rows, summary=False)
    write_figures({"clips": rows, "speech": speech_rows}, options.run.output)


@takes(RunOptions, LookOptions, only={"output", "perception", "fid_network"}, into=Settings)
def files(
    generated: Annotated[Path, typer.Argument(help="Video made by any program, or a folder of them.")],
    real: Annotated[Path, typer.Argument(help="The real video, or a folder with files of the same names.")],
    options: Settings,
) -> None:
    """Compare generated videos with the real ones: pictures, expression, pose, gaze and lips, found anew in both."""
    networks = options.look.load()
    judged = {mine.stem: judge_file(mine, true, networks) for mine, true in pairs_in(generated, real)}
    show("files", judged, options.run.output)
