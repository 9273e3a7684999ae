"""Commands that measure the models on folders of talking-head clips and on speech made for the purpose.

Figures are measured on generated pictures, whose landmarks are found anew; `closures` (without `--render`) and `lips`
measure keypoints and coefficients.
"""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from talkinghead.cli.options import takes
from talkinghead.cli.tools import new_app
from talkinghead.evaluation.background import judge_background
from talkinghead.evaluation.closures import closure_figures, rendered_figures
from talkinghead.evaluation.dub import dub_clip
from talkinghead.evaluation.lips import describe_lips
from talkinghead.evaluation.mouths import judge_mouths
from talkinghead.evaluation.networks import load_networks
from talkinghead.evaluation.options import Clips, RunOptions, Settings, clips_in
from talkinghead.evaluation.report import report
from talkinghead.evaluation.speed import measure_speed
from talkinghead.evaluation.table_commands import cross, files, reenact, retarget, sanity, speak, stitch
from talkinghead.evaluation.watermark import describe_watermark, measure_watermark
from talkinghead.media.picture_formats import PICTURE_ENDINGS
from talkinghead.media.video import probe_video

app = new_app("Measure how faithful pictures are, how true lips are, and how fast the product is.")

for _command in (reenact, cross, speak, retarget, stitch, sanity, files):
    app.command()(_command)


@app.command()
@takes(RunOptions, only={"limit", "output"}, into=Settings)
def background(clips: Clips, options: Settings) -> None:
    """Drive each clip's first frame with its later ones; measure background and edge with layers and without."""
    judged = {path.stem: judge_background(path) for path in clips_in(clips, options.run.limit)}
    report("background, mini", judged, options.run.output)


@app.command()
@takes(RunOptions, only={"model", "output"}, into=Settings)
def mouths(
    data: Annotated[Path, typer.Argument(help="Folder of portraits with manifest.csv.")],
    perception: Annotated[Path, typer.Option(help="Network of `prepare.py perception`.")],
    options: Settings,
    against: Annotated[str | None, typer.Option(help="Another embedded model, judged on the same mouths.")] = None,
    limit: Annotated[int | None, typer.Option(help="Use only the first so many mouths.")] = None,
) -> None:
    """Shut the open mouths of portraits that training never sees, open them again, and compare with the real ones."""
    model = options.run.model
    models = [model] if against is None else [model, against]
    for name, judged in judge_mouths(data, models, load_networks(perception), limit).items():
        report(f"mouths, {name}", judged, options.run.output if name == model else None)


@app.command()
@takes(RunOptions, only={"model", "device", "limit", "output"}, into=Settings)
def dub(
    clips: Clips,
    options: Settings,
    voices: Annotated[
        Path | None, typer.Option(help="Folder of clips at 25 frames a second whose voices are used; default: CLIPS.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="How much of each voice is used.")] = 8.0,
    seed: int = 0,
) -> None:
    """Give each clip the voice of the next one; compare the new lips with its speaker's, and with the old ones."""
    run = options.run
    models, sources = run.load(), list(clips_in(clips, run.limit))
    speakers = [clip for clip in clips_in(voices or clips, None) if probe_video(clip).has_sound]
    results = {}
    for n, clip in enumerate(sources):
        voice = next(each for each in speakers[(n + 1) % len(speakers) :] + speakers if each.stem != clip.stem)
        results[f"{clip.stem} + {voice.stem}"] = dub_clip(clip, voice, seconds, models, seed)
    judged = {pair: result for pair, result in results.items() if result is not None}
    report(f"dub, {run.model}", judged, run.output)


@app.command()
@takes(RunOptions, only={"model", "output"}, into=Settings)
def closures(
    options: Settings,
    render: Annotated[bool, typer.Option(help="Judge pictures of the example portrait, one voice.")] = False,
    sentences: Annotated[int | None, typer.Option(help="Say only so many of the sentences.")] = None,
    voice_model: Annotated[str, typer.Option(help="Audio-to-motion model: mini or a directory.")] = "mini",
) -> None:
    """Generate motion for labelled speech and count how often p, b and m close the lips, and what else does."""
    if render:
        judged, courses = rendered_figures(6 if sentences is None else sentences, options.run.model)
    else:
        judged, courses = closure_figures(sentences, voice_model)
    report("lip opening around closures, frames of 40 ms", courses, None)
    report("closures, " + ("rendered" if render else "keypoints"), judged, options.run.output)


@app.command()
@takes(RunOptions, only={"model", "output"}, into=Settings)
def speed(options: Settings, seconds: float = 20.0, memory: bool = True) -> None:
    """Time `speak` on a 1280×720 picture with a 512 crop, and compare the memory of ten minutes with that of one."""
    report(f"speed, {options.run.model}", measure_speed(options.run.model, seconds, memory), options.run.output)


@app.command()
def watermark(
    folders: Annotated[list[Path], typer.Argument(help="Folders of clips or pictures.")],
    kept: Annotated[Path, typer.Option(help="File of finished rows; what is in it is not done again.")],
    minutes: Annotated[float, typer.Option(help="Stop after this time; run again to go on.")] = 1e9,
    limit: Annotated[int | None, typer.Option(help="Use only so many files of each folder.")] = None,
    unmarked: Annotated[bool, typer.Option(help="Only look for watermarks in the files as they are.")] = False,
) -> None:
    """Mark pictures and clips, attack them, and count how often the watermark is found, and where there is none."""
    endings = PICTURE_ENDINGS | {".mp4", ".mov", ".mkv", ".webm"}
    found = (sorted(path for path in folder.iterdir() if path.suffix.lower() in endings)[:limit] for folder in folders)
    rows = measure_watermark(chain.from_iterable(found), kept, minutes, unmarked_only=unmarked)
    for line in describe_watermark(rows):
        typer.echo(line)


@app.command()
def lips(
    data: Annotated[Path, typer.Argument(help="Folder with speech_motion.npz, landmarks_val.npz and val/.")],
    face: Annotated[Path, typer.Option(help="Face model written by `train.py face-model`.")],
    voice_model: Annotated[str, typer.Option(help="Audio-to-motion model: mini or a directory.")] = "mini",
) -> None:
    """Measure an audio-to-motion model on people it never met: lips, silence, closures and idle motion."""
    for line in describe_lips(voice_model, data, face):
        typer.echo(line)
