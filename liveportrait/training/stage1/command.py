"""Run stage I, or measure what a step costs."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from liveportrait import weights
from liveportrait.official import OfficialPortrait
from liveportrait.training.faces import POINTS, FaceSet, read_faces
from liveportrait.training.loop import TrainingError, change_settings, check_same, run
from liveportrait.training.perception import load_perception
from liveportrait.training.processes import Processes
from liveportrait.training.reports import ProgressLine, tensorboard
from liveportrait.training.sizes import SIZES
from liveportrait.training.stage1.config import PRESETS, Stage1Config, read_weights
from liveportrait.training.stage1.trainer import Stage1Trainer

DRY_STEPS = 3


def train(options: Namespace) -> None:
    """Train, or continue a run."""
    config = settings(options)
    check_same(options.run, config, ("size", "discriminator_widths", "discriminator_layers", "frozen"))
    start = load_start(options.init)
    size = SIZES[config.size]
    if start is not None and replace(start.config, crop_scale=size.crop_scale, guided=False) != size:
        raise TrainingError(f"--init {options.init}: its networks are not of size {config.size}; give --set size=NAME")
    looks = load_perception(options.perception, config.stages)
    side = size.output_size
    if options.dry_run:
        measure(Stage1Trainer(config, noise(config.batch_size, side), None, looks, start=start))
        return
    processes = Processes(config.device)
    preload_on = processes.device if config.preload else None
    faces = read_faces(options.faces / "train", side, not options.any_licence, preload_on)
    config = replace(config, crop_scale=faces.crop_scale)
    check_same(options.run, config, ("crop_scale",))
    val = options.faces / "val"
    validation = read_faces(val, side, False, preload_on) if val.is_dir() and processes.rank == 0 else None
    identity = load_identity(options.identity, processes.device)
    trainer = Stage1Trainer(config, faces, validation, looks, identity, start, processes)
    report = tensorboard(options.run, trainer.pictures) if options.tensorboard and trainer.writes else None
    pace = {"every": options.every, "minutes": options.minutes}
    run(trainer, options.run, trainer.validate, **pace, progress=ProgressLine(), report=report)
    processes.close()


def settings(options: Namespace) -> Stage1Config:
    """Return the preset with its changes."""
    config = PRESETS[options.preset]
    if options.weights is not None:
        config = replace(config, weights=read_weights(options.weights))
    config = change_settings(config, options.set)
    if config.size not in SIZES:
        raise TrainingError(f"--set size={config.size}: choose from {', '.join(SIZES)}")
    return config


def load_start(name: str | None) -> OfficialPortrait | None:
    """Load the model to continue from."""
    model = None if name is None else weights.load(name)
    if model is not None and not isinstance(model, OfficialPortrait):
        raise TrainingError(f"--init {name}: not an official model; give base, or a folder that `export` wrote")
    return model


def load_identity(file: Path | None, device: str) -> Callable[[Tensor], Tensor] | None:
    """Load a face recognition network saved as TorchScript, frozen."""
    if file is None:
        return None
    try:
        return torch.jit.load(str(file), map_location=device).eval().requires_grad_(False)
    except (RuntimeError, ValueError) as error:
        raise TrainingError(f"{file}: not readable as TorchScript ({str(error).splitlines()[0]})") from error


def noise(count: int, side: int) -> FaceSet:
    """Make one clip of random pictures, to measure speed with."""
    random = torch.Generator().manual_seed(0)
    pictures = torch.randint(256, (count + 1, 3, side, side), generator=random, dtype=torch.uint8)
    marks = torch.rand(count + 1, len(POINTS), 2, generator=random) - 0.5
    bounds = torch.tensor([0, count + 1])
    return FaceSet(
        [], marks, torch.eye(3).repeat(count + 1, 1, 1), bounds, ["noise"], torch.tensor([False]), side, pictures
    )


def measure(trainer: Stage1Trainer) -> None:
    """Take a few steps with all losses, and print time and memory of one."""
    trainer.config = replace(trainer.config, adversarial_start=0)
    on_gpu = trainer.device.startswith("cuda")
    trainer.train_step()
    begun = time.monotonic()
    for _ in range(DRY_STEPS):
        trainer.train_step()
    spent = (time.monotonic() - begun) / DRY_STEPS
    memory = f", {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB of GPU memory" if on_gpu else ""
    learned = sum(parameter.numel() for parameter in trainer.networks.parameters())
    print(  # noqa: T201
        f"{trainer.config.size}: {learned / 1e6:.1f} million weights, {spent:.2f} s for a step of "
        f"{trainer.config.batch_size} pairs{memory}"
    )
