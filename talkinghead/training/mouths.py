"""Commands that give a renderer the light of the remembered mouth, sets of teeth, or a painter of teeth."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

import torch
import typer

from liveportrait.mini import save
from liveportrait.training.loop import change_settings, read_average, run
from liveportrait.training.mouth_light import fit_light
from liveportrait.training.perception import load_perception
from liveportrait.training.teeth import build_bank
from liveportrait.training.teeth_trainer import TEETH_PRESETS, TeethTrainer, with_teeth_painter
from talkinghead.cli.tools import new_app
from talkinghead.dataset.mouths import read_mouths
from talkinghead.dataset.portraits import read_portraits
from talkinghead.models import embedded_model

app = new_app("Give a renderer teeth: their light, sets of them, and a painter, from what `prepare.py mouths` wrote.")

Model = Annotated[str, typer.Option(help="Embedded renderer to begin with: mini or a directory.")]
RunFolder = Annotated[Path, typer.Option("--run", help="Folder for checkpoint and log; continued if it exists.")]
Mouths = Annotated[Path, typer.Option(help="File of `prepare.py mouths`.")]
PerceptionFile = Annotated[Path, typer.Option(help="Network of `prepare.py perception`.")]
PERCEPTION = Path("runs/perception.safetensors")
Change = Annotated[list[str], typer.Option("--set", help="name=value, over the preset.")]
Every = Annotated[int, typer.Option(help="Steps between validations and checkpoints.")]
Minutes = Annotated[float, typer.Option(help="Stop (resumably) after this time.")]


@app.command()
def train(
    mouths: Mouths,
    run_folder: RunFolder,
    perception: PerceptionFile = PERCEPTION,
    model: Model = "mini",
    preset: Annotated[Literal["cpu", "gpu"], typer.Option(help="Settings for this kind of machine.")] = "cpu",
    change: Change = [],  # noqa: B006
    every: Every = 250,
    minutes: Minutes = math.inf,
) -> None:
    """Train a painter of teeth, or continue a run."""
    config = change_settings(TEETH_PRESETS[preset], change)
    renderer, looks = embedded_model(model).renderer.float(), load_perception(perception)
    trainer = TeethTrainer(config, renderer, read_mouths(mouths), looks, torch.get_num_threads())
    run(trainer, run_folder, trainer.validate, every=every, minutes=minutes, best_by="looks")


@app.command()
def light(
    mouths: Mouths,
    output: Annotated[Path, typer.Option(help="Folder to write the model to.")],
    model: Model = "mini",
) -> None:
    """Fit how skin colours the mouth that a renderer remembers for portraits with closed lips."""
    renderer = embedded_model(model).renderer.float()
    renderer.light = fit_light(renderer, read_mouths(mouths), threads=torch.get_num_threads())
    save(renderer, output)


@app.command()
def teeth(
    portraits: Annotated[Path, typer.Argument(help="Folder of portraits with manifest.csv.")],
    portrait: Annotated[list[str], typer.Option(help="Id of a portrait whose teeth are taken; repeatable.")],
    output: Annotated[Path, typer.Option(help="Folder to write the model to.")],
    model: Model = "mini",
) -> None:
    """Give a renderer sets of real teeth for portraits with closed lips."""
    renderer = embedded_model(model).renderer.float()
    renderer.teeth = build_bank(renderer.face, read_portraits(portraits, held_out=False), portrait)
    save(renderer, output)


@app.command()
def export(
    run_folder: RunFolder,
    output: Annotated[Path, typer.Option(help="Folder to write the model to.")],
    model: Model = "mini",
) -> None:
    """Write the renderer with a run's averaged weights, as `--model` takes it."""
    _, weights = read_average(run_folder)
    save(with_teeth_painter(embedded_model(model).renderer, weights), output)
