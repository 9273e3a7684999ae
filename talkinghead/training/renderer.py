"""Commands that train and export the embedded renderer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

import torch
import typer
from safetensors.torch import load_file

from liveportrait.mini.model import save
from liveportrait.mini.renderer import MiniConfig, MiniRenderer
from liveportrait.training.loop import change_settings, check_same, read_average, run
from liveportrait.training.perception import load_perception
from liveportrait.training.renderer import NUM_STAGES, PRESETS, RendererTrainer, mouth_features
from liveportrait.training.thin import ThinConfig, ThinTrainer
from talkinghead.cli.tools import new_app
from talkinghead.dataset.clips import load_clips, load_stills
from talkinghead.models import embedded_model

app = new_app("Train the embedded renderer on clips that `prepare.py clips` wrote.")

Data = Annotated[Path, typer.Option(help="Folder with train/, val/, their landmarks and perhaps stills/.")]


@app.command()
def train(
    data: Data,
    run_folder: Annotated[Path, typer.Option("--run", help="Folder for checkpoint and log; continued if it exists.")],
    face: Annotated[Path, typer.Option(help="Face model of `train.py face-model`.")] = Path(
        "runs/face_model.safetensors"
    ),
    perception: Annotated[Path, typer.Option(help="Network of `prepare.py perception`.")] = Path(
        "runs/perception.safetensors"
    ),
    preset: Annotated[Literal["cpu", "gpu"], typer.Option(help="Settings for this kind of machine.")] = "cpu",
    change: Annotated[list[str], typer.Option("--set", help="name=value, over the preset.")] = [],  # noqa: B006
    every: Annotated[int, typer.Option(help="Steps between validations and checkpoints.")] = 250,
    minutes: Annotated[float, typer.Option(help="Stop (resumably) after this time.")] = math.inf,
) -> None:
    """Train, or continue a run."""
    config = change_settings(PRESETS[preset], change)
    if config.device == "cpu":
        torch.set_num_threads(1 if config.threads > 1 else torch.get_num_threads())
    cache = run_folder.parent / "cache"
    clips = load_clips(data, "train", cache, permissive_only=True)
    stills = load_stills(data, cache / "stills.npz")
    validation = load_clips(data, "val", cache, permissive_only=False)
    looks = load_perception(perception, NUM_STAGES)
    trainer = RendererTrainer(config, load_file(face), clips, stills, validation, looks)
    run(trainer, run_folder, trainer.validate, every=every, minutes=minutes)


@app.command()
def export(
    data: Data,
    run_folder: Annotated[Path, typer.Option("--run", help="Folder of the run.")],
    output: Annotated[Path, typer.Option(help="Folder to write the model to.")],
    memory: Annotated[
        str | None, typer.Option(help="Person whose mouth the weights remember; default: the largest face.")
    ] = None,
) -> None:
    """Write a run's averaged weights as `--model` takes them."""
    _, weights = read_average(run_folder)
    renderer = MiniRenderer(MiniConfig())
    renderer.load_state_dict(weights)
    clips = load_clips(data, "train", run_folder.parent / "cache", permissive_only=True)
    renderer.memory = mouth_features(renderer.eval(), clips, memory)
    save(renderer, output)


@app.command()
def thin(
    data: Data,
    run_folder: Annotated[Path, typer.Option("--run", help="Folder for checkpoint and log; continued if it exists.")],
    output: Annotated[Path, typer.Option(help="Folder to write the model to.")],
    model: Annotated[str, typer.Option(help="Embedded renderer to imitate: mini or a directory.")] = "mini",
    start: Annotated[str | None, typer.Option(help="Thin renderer to begin from; default: the one to imitate.")] = None,
    change: Annotated[list[str], typer.Option("--set", help="name=value, over the settings.")] = [],  # noqa: B006
    every: Annotated[int, typer.Option(help="Steps between validations and checkpoints.")] = 250,
    minutes: Annotated[float, typer.Option(help="Stop (resumably) after this time.")] = math.inf,
) -> None:
    """Distil flow network and decoders into thinner, faster ones, and write the renderer with them."""
    config, teacher = change_settings(ThinConfig(), change), embedded_model(model).renderer.float()
    check_same(run_folder, config, ["flow_channels", "mouth_channels", "mouth_hidden", "eye_channels", "eye_hidden"])
    begin = None if start is None else embedded_model(start).renderer.float()
    cache = run_folder.parent / "cache"
    clips = load_clips(data, "train", cache, permissive_only=True)
    stills = load_stills(data, cache / "stills.npz")
    validation = load_clips(data, "val", cache, permissive_only=False)
    trainer = ThinTrainer(config, teacher, clips, stills, validation, begin)
    run(trainer, run_folder, trainer.validate, every=every, minutes=minutes, best_by="psnr")
    save(trainer.finished(), output)
