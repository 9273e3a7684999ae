"""Commands that train and export a motion generator for the official networks.

The run may be one of several processes started by torchrun.
"""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import torch
import typer
from torch import distributed

from audio2motion.config import EncoderConfig
from audio2motion.flow.config import FlowConfig
from audio2motion.flow.model import MotionFlow
from audio2motion.flow.weights import save
from audio2motion.training.flow_data import FlowSampler, MotionClips
from audio2motion.training.flow_trainer import FlowTrainConfig, FlowTrainer, read_averaged
from liveportrait.training.loop import Figures, change_settings, run
from talkinghead.cli.tools import new_app
from talkinghead.dataset.motion_cache import read_clips

PRESETS = {
    "cpu": FlowTrainConfig(num_steps=4_000, batch_size=8),
    "gpu": FlowTrainConfig(num_steps=50_000, batch_size=64, device="cuda", bfloat16=True),
}
NUM_COMPARED = 64
"""Windows of val/ that a validation compares."""

app = new_app("Train a motion generator for the official networks on motion that `prepare.py motion` wrote.")
RunFolder = Annotated[Path, typer.Option("--run", help="Folder for checkpoint and log; continued if it exists.")]


@app.command()
def train(
    motion: Annotated[Path, typer.Option(help="Folder that `prepare.py motion` wrote.")],
    run_folder: RunFolder,
    preset: Annotated[Literal["cpu", "gpu"], typer.Option(help="Settings for this kind of machine.")] = "cpu",
    change: Annotated[list[str], typer.Option("--set", help="name=value, over the preset.")] = [],  # noqa: B006
    encoder: Annotated[str | None, typer.Option(help="Wav2Vec2, HuBERT, WavLM or XLS-R: hub name or folder.")] = None,
    layer: Annotated[int | None, typer.Option(help="Use only this many of its layers.")] = None,
    frozen: Annotated[bool, typer.Option(help="Keep the encoder's weights.")] = False,
    permissive_only: Annotated[bool, typer.Option(help="Use only clips that may train published weights.")] = True,
    every: Annotated[int, typer.Option(help="Steps between validations and checkpoints.")] = 500,
    minutes: Annotated[float, typer.Option(help="Stop (resumably) after this time.")] = math.inf,
) -> None:
    """Train, or continue a run."""
    config = PRESETS[preset]
    if encoder is not None:
        published = EncoderConfig(checkpoint=encoder, layer=layer, frozen=frozen)
        config = replace(config, model=FlowConfig(encoder=published))
    config = change_settings(config, change)
    if "RANK" in os.environ:  # one of several processes, started by torchrun
        distributed.init_process_group("nccl" if config.device == "cuda" else "gloo")
        if config.device == "cuda":
            config = replace(config, device=f"cuda:{os.environ['LOCAL_RANK']}")
    clips = read_clips(motion / "train", permissive_only)
    val = read_clips(motion / "val", False) if any((motion / "val").glob("*.safetensors")) else None
    trainer = make_trainer(config, clips)

    def validate() -> Figures:
        if val is None:
            return {}
        batch = make_sampler(trainer.config, val).batch(0, range(NUM_COMPARED)).to(trainer.config.device)
        return {"val_loss": trainer.validation_loss(batch)}

    run(trainer, run_folder, validate, every=every, minutes=minutes)
    if distributed.is_initialized():
        distributed.destroy_process_group()


@app.command()
def export(run_folder: RunFolder, output: Annotated[Path, typer.Option(help="Folder to write the model to.")]) -> None:
    """Write a run's averaged weights as `--voice-model` takes them."""
    model = read_averaged(run_folder)
    save(model, output)
    typer.echo(f"{output}: {sum(p.numel() for p in model.parameters()):,} weights")


def make_trainer(config: FlowTrainConfig, clips: MotionClips) -> FlowTrainer:
    """Build the trainer of a new run for the keypoints of the clips."""
    config = replace(config, model=replace(config.model, num_keypoints=(clips.numbers.shape[1] - 7) // 3))
    torch.manual_seed(config.seed)
    model = MotionFlow(config.model)
    model.codec.fit(clips.numbers)
    return FlowTrainer(model, make_sampler(config, clips), config)


def make_sampler(config: FlowTrainConfig, clips: MotionClips) -> FlowSampler:
    """Draw windows of clips as a run's settings say."""
    return FlowSampler(
        clips,
        config.model.num_frames,
        config.model.num_previous,
        config.seed,
        config.balance,
        config.voice_dropout,
        config.previous_dropout,
    )
