"""Train a motion generator for the official networks on your own footage.

    python talkinghead/dataset/prepare.py footage --output clips
    python talkinghead/dataset/extract_motion.py clips --output motion --model base
    python talkinghead/training/motion.py train --motion motion --run runs/flow --setting gpu
    torchrun --nproc-per-node 4 talkinghead/training/motion.py train --motion motion --run runs/flow --setting gpu
    python talkinghead/training/motion.py export --run runs/flow --output my_voice
    talkinghead speak portrait.png voice.wav -o out.mp4 --model base --voice-model my_voice

A run that is started again goes on exactly where it stopped.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Literal

import torch
import typer
from talkinghead.dataset.motion_cache import CacheError, read_clips
from torch import distributed

from audio2motion.config import EncoderConfig
from audio2motion.flow.config import FlowConfig
from audio2motion.training.flow_data import FlowSampler, MotionClips
from audio2motion.flow.model import MotionFlow
from audio2motion.training.flow_trainer import FlowTrainConfig, FlowTrainer, flow_loss, read_averaged
from audio2motion.flow.weights import save
from liveportrait.errors import PortraitError

SETTINGS = {
    "cpu": FlowTrainConfig(num_steps=4_000, batch_size=8),
    "gpu": FlowTrainConfig(num_steps=50_000, batch_size=64, device="cuda", bfloat16=True),
}
JUDGED = 64  # windows of val/ that are compared at every check

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
Folder = Annotated[Path, typer.Option(help="Folder that extract_motion.py wrote.")]
Run = Annotated[Path, typer.Option(help="Folder of the run: checkpoint and log.")]
Setting = Annotated[Literal["cpu", "gpu"], typer.Option(help="Machine to train on.")]
Change = Annotated[list[str], typer.Option("--set", help="name=value, over the setting.")]
Encoder = Annotated[str | None, typer.Option(help="Wav2Vec2, HuBERT, WavLM or XLS-R: hub name or folder.")]
Layer = Annotated[int | None, typer.Option(help="Use its first layers only, as many as this.")]


def override(config: FlowTrainConfig, changes: list[str]) -> FlowTrainConfig:
    """Apply name=value pairs to the run's settings or its model's.

    Raises:
        CacheError: A name is unknown, or a value is no number.
    """
    for change in changes:
        name, _, text = change.partition("=")
        for part in (config, config.model):
            known = {field.name: type(getattr(part, field.name)) for field in fields(part)}
            if known.get(name) in (int, float, str, bool):
                break
        else:
            raise CacheError(f"--set {change}: no setting of this name")
        try:
            value = text.lower() in ("1", "true", "yes") if known[name] is bool else known[name](text)
        except ValueError:
            raise CacheError(f"--set {change}: {text!r} is no {known[name].__name__}") from None
        changed = replace(part, **{name: value})  # type: ignore[type-var]
        config = changed if isinstance(changed, FlowTrainConfig) else replace(config, model=changed)
    return config


def make_trainer(config: FlowTrainConfig, clips: MotionClips, run: Path) -> FlowTrainer:
    """Build a run, or take it up where it stopped."""
    config = replace(config, model=replace(config.model, num_keypoints=(clips.numbers.shape[1] - 7) // 3))
    torch.manual_seed(config.seed)
    model = MotionFlow(config.model)
    model.codec.fit(clips.numbers)
    trainer = FlowTrainer(model, make_sampler(config, clips), config)
    if (run / "training.safetensors").exists():
        trainer.resume(run)
    return trainer


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


@torch.inference_mode()
def judge(trainer: FlowTrainer, clips: MotionClips) -> float:
    """Compare the averaged weights' estimates with the motion of clips that are not trained on."""
    batch = make_sampler(trainer.config, clips).batch(0, range(JUDGED)).to(trainer.config.device)
    model, trainer.model = trainer.model, trainer.averaged().to(trainer.config.device)
    estimate, clean = trainer.estimate(batch)
    trainer.model = model
    return float(flow_loss(estimate, clean, batch.known, trainer.weights, trainer.config.speed_weight))


def go_on(trainer: FlowTrainer, val: MotionClips | None, run: Path, every: int, minutes: float) -> None:
    """Train to the end, or as long as asked."""
    begun, losses = time.monotonic(), []
    while trainer.step < trainer.config.num_steps and time.monotonic() - begun < 60 * minutes:
        losses.append(trainer.train_step())
        if trainer.step % every == 0 or trainer.step == trainer.config.num_steps:
            trainer.save(run)
            if trainer.rank == 0:
                entry = {"step": trainer.step, "loss": round(sum(losses) / len(losses), 4)}
                entry |= {"val_loss": round(judge(trainer, val), 4)} if val else {}
                with (run / "log.jsonl").open("a") as file:
                    file.write(json.dumps(entry) + "\n")
                print(entry, flush=True)
            losses = []
    trainer.save(run)


@app.command()
def train(
    motion: Folder,
    run: Run,
    setting: Setting = "cpu",
    change: Change = [],  # noqa: B006
    encoder: Encoder = None,
    layer: Layer = None,
    frozen: Annotated[bool, typer.Option(help="Leave the encoder as it is.")] = False,
    permissive_only: Annotated[bool, typer.Option(help="Learn only from clips whose weights may ship.")] = True,
    every: Annotated[int, typer.Option(help="Steps between checkpoints.")] = 500,
    minutes: Annotated[float, typer.Option(help="Stop (resumably) after this long.")] = 1e9,
) -> None:
    """Train, or go on training."""
    config = _configured(setting, change, encoder, layer, frozen)
    if "RANK" in os.environ:  # one of several processes, started by torchrun
        distributed.init_process_group("nccl" if config.device == "cuda" else "gloo")
        if config.device == "cuda":
            config = replace(config, device=f"cuda:{os.environ['LOCAL_RANK']}")
    run.mkdir(parents=True, exist_ok=True)
    clips = read_clips(motion / "train", permissive_only)
    val = read_clips(motion / "val", False) if any((motion / "val").glob("*.safetensors")) else None
    go_on(make_trainer(config, clips, run), val, run, every, minutes)
    if distributed.is_initialized():
        distributed.destroy_process_group()


@app.command()
def export(run: Run, output: Annotated[Path, typer.Option(help="Folder to write the model to.")]) -> None:
    """Write a run's averaged weights as `--voice-model` takes them."""
    if not (run / "training.safetensors").exists():
        raise CacheError(f"{run}: no checkpoint here; train first")
    model = read_averaged(run)
    save(model, output)
    print(f"{output}: {sum(p.numel() for p in model.parameters()):,} weights")


def _configured(
    setting: str, change: list[str], encoder: str | None, layer: int | None, frozen: bool
) -> FlowTrainConfig:
    config = SETTINGS[setting]
    if encoder is not None:
        heard = EncoderConfig(checkpoint=encoder, layer=layer, frozen=frozen)
        config = replace(config, model=FlowConfig(encoder=heard))
    return override(config, change)


if __name__ == "__main__":
    try:
        app()
    except PortraitError as error:
        print(f"train_motion: {error}", file=sys.stderr)
        raise SystemExit(1) from None
