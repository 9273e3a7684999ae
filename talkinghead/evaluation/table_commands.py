"""Commands for the table of LivePortrait's paper, for any model: reenactment, speech, retargeting, stitching.

Every figure is measured on generated pictures, whose landmarks are found anew. docs/evaluation.md describes them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from talkinghead.evaluation.cross import cross_clip, cross_pairs
from talkinghead.evaluation.files import judge_file, pairs_in
from talkinghead.evaluation.judged import Judged, by_turn, fid, judge_all, mean_of
from talkinghead.evaluation.options import (
    Clips,
    Device,
    Every,
    FidNetwork,
    Json,
    Kept,
    Limit,
    Minutes,
    Model,
    Most,
    Perception,
    clips_in,
    clips_with_next,
    looking,
)
from talkinghead.evaluation.reenact import EVERY, reenact_clip
from talkinghead.evaluation.report import report
from talkinghead.evaluation.retargeting import retarget_clip
from talkinghead.evaluation.sanity import judge_changes
from talkinghead.evaluation.speak import speak_clip
from talkinghead.evaluation.stitching import stitch_clip
from talkinghead.evaluation.theval import natural_score
from talkinghead.models import load_models


def show(title: str, judged: dict[str, Judged], output: Path | None, further: dict[str, float] | None = None) -> None:
    """Print and write the figures of clips, and what is measured on all of them together."""
    rows = {name: each.figures() for name, each in judged.items()}
    whole = fid(judged.values()) | (further or {})
    report(title, rows, output, {"together": whole} if whole else None)


def reenact(
    clips: Clips,
    model: Model = "mini",
    perception: Perception = None,
    fid_network: FidNetwork = None,
    every: Every = EVERY,
    most: Most = None,
    device: Device = "auto",
    kept: Kept = None,
    minutes: Minutes = 1e9,
    limit: Limit = None,
    output: Json = None,
) -> None:
    """Drive each clip's first frame with its later frames; compare with copying and with warping alone."""
    networks = looking(perception, fid_network)
    judged = judge_all(
        clips_in(clips, limit),
        lambda clip: reenact_clip(clip, model, networks, every, most, device),
        kept,
        f"reenact {model} {every} {most} {perception} {fid_network}",
        minutes,
    )
    show(f"reenact, {model}", judged, output)
    report(
        f"reenact, {model}, by how far the head is turned from the source's",
        dict(by_turn(judged.values())),
        summary=False,
    )


def cross(
    clips: Clips,
    sources: Annotated[
        Path | None, typer.Option(help="Folder of pictures to animate in turn; default: the next clip's first frame.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="How much of each clip is followed.")] = 4.0,
    relative: Annotated[bool, typer.Option(help="Follow the driver's changes, or its own pose and expression.")] = True,
    model: Model = "mini",
    perception: Perception = None,
    fid_network: FidNetwork = None,
    every: Every = EVERY,
    device: Device = "auto",
    kept: Kept = None,
    minutes: Minutes = 1e9,
    limit: Limit = None,
    output: Json = None,
) -> None:
    """Let each clip drive another person's picture; compare expression, pose and gaze with it, and the identity."""
    networks, models = looking(perception, fid_network), load_models(model, device)
    pairs = dict(cross_pairs(list(clips_in(clips, None)), sources))
    judged = judge_all(
        clips_in(clips, limit),
        lambda clip: cross_clip(pairs[clip], clip, models, networks, seconds, every, relative),
        kept,
        f"cross {model} {sources} {seconds} {relative} {every} {perception} {fid_network}",
        minutes,
    )
    show(f"cross, {model}", judged, output)


def speak(
    clips: Clips,
    model: Model = "mini",
    seed: int = 0,
    device: Device = "auto",
    kept: Kept = None,
    minutes: Minutes = 1e9,
    limit: Limit = None,
    output: Json = None,
) -> None:
    """Drive each clip's first frame with its sound; compare the lips with the real ones. Silent clips are skipped."""
    networks, models = looking(None, None, pictures=False), load_models(model, device)
    judged = judge_all(
        clips_in(clips, limit),
        lambda clip: speak_clip(clip, models, networks, seed),
        kept,
        f"speak {model} {seed}",
        minutes,
    )
    show(f"speak, {model}", judged, output, {"natural": natural_score(mean_of(judged.values()))})


def retarget(
    clips: Clips, model: Model = "mini", device: Device = "auto", limit: Limit = None, output: Json = None
) -> None:
    """Open and close the eyes and lips of each clip's first frame; compare the openness asked for with that reached."""
    judged = {clip.stem: retarget_clip(clip, model, device) for clip in clips_in(clips, limit)}
    show(f"retarget, {model}", judged, output)


def stitch(
    clips: Clips,
    model: Model = "mini",
    every: Every = 10,
    most: Annotated[int, typer.Option(help="Render so many frames.", min=1)] = 10,
    device: Device = "auto",
    limit: Limit = None,
    output: Json = None,
) -> None:
    """Let each clip's first frame follow the next clip; measure how much the crop's border and the shoulders change."""
    judged = {
        clip.stem: stitch_clip(clip, driver, model, every, most, device)
        for clip, driver in clips_with_next(clips, limit)
    }
    show(f"stitch, {model}", judged, output)


def sanity(
    clips: Clips,
    perception: Perception = None,
    fid_network: FidNetwork = None,
    model: Annotated[str | None, typer.Option(help="Also judge this model, which follows each clip.")] = None,
    every: Every = 10,
    most: Annotated[int, typer.Option(help="Judge so many frames of a clip.", min=1)] = 10,
    device: Device = "auto",
    limit: Limit = None,
    output: Json = None,
) -> None:
    """Change real clips in known ways and judge them: each figure has to move when it should."""
    networks = looking(perception, fid_network)
    judged: dict[str, list[Judged]] = {}
    for clip, other in clips_with_next(clips, limit):
        for change, found in judge_changes(clip, other, networks, every, most).items():
            judged.setdefault(change, []).append(found)
        if model is not None:
            judged.setdefault(model, []).append(reenact_clip(clip, model, networks, every, most, device))
    rows = {change: mean_of(each) | fid(each) for change, each in judged.items()}
    report("sanity", rows, output, summary=False)


def files(
    generated: Annotated[Path, typer.Argument(help="Video made by any program, or a folder of them.")],
    real: Annotated[Path, typer.Argument(help="The real video, or a folder with files of the same names.")],
    perception: Perception = None,
    fid_network: FidNetwork = None,
    output: Json = None,
) -> None:
    """Compare generated videos with the real ones: pictures, expression, pose, gaze and lips, found anew in both."""
    networks = looking(perception, fid_network)
    show("files", {mine.stem: judge_file(mine, true, networks) for mine, true in pairs_in(generated, real)}, output)
