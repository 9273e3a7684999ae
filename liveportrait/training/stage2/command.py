"""Run a part of stage II, and put the parts of a model together."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from liveportrait import weights
from liveportrait.config import CROP_SCALE
from liveportrait.official import OfficialPortrait
from liveportrait.training.faces import read_faces
from liveportrait.training.loop import TrainingError, change_settings, check_same, read_average, run
from liveportrait.training.processes import Processes
from liveportrait.training.reports import ProgressLine, tensorboard
from liveportrait.training.sizes import SIZES
from liveportrait.training.stage1.networks import assemble
from liveportrait.training.stage2.config import PARTS, PRESETS, read_weights
from liveportrait.training.stage2.reader import OpennessReader
from liveportrait.training.stage2.trainer import Stage2Trainer


def train(options: Namespace) -> None:
    """Train, or continue a run."""
    config = PRESETS[options.preset]
    if options.weights is not None:
        config = replace(config, weights=read_weights(options.weights))
    config = change_settings(replace(config, part=options.part), options.set)
    check_same(options.run, config, ("part",))
    model = load_model(options.model)
    processes = Processes(config.device)
    preload_on, side = processes.device if config.preload else None, model.config.output_size
    faces = read_faces(options.faces / "train", side, not options.any_licence, preload_on)
    if faces.crop_scale != model.config.crop_scale:
        raise TrainingError(
            f"{options.faces}: prepared with --crop-scale {faces.crop_scale:g}; {options.model} needs"
            f" {model.config.crop_scale:g}"
        )
    val = options.faces / "val"
    validation = read_faces(val, side, False, preload_on) if val.is_dir() and processes.rank == 0 else None
    reader = None if options.reader is None else read_reader(options.reader)
    trainer = Stage2Trainer(config, model, faces, validation, reader, processes)
    report = tensorboard(options.run, lambda: None) if options.tensorboard and trainer.writes else None
    pace = {"every": options.every, "minutes": options.minutes}
    run(trainer, options.run, trainer.validate, **pace, progress=ProgressLine(), report=report)
    processes.close()


def load_model(name: str) -> OfficialPortrait:
    """Load the model whose networks are frozen."""
    model = weights.load(name)
    if not isinstance(model, OfficialPortrait):
        raise TrainingError(f"{name}: has no networks S, R_eyes and R_lip; give base, or a folder that `export` wrote")
    return model


def read_reader(folder: Path) -> OpennessReader:
    """Read the reader of openness from its run."""
    config, state = read_average(folder)
    if config.get("part") != "reader":
        raise TrainingError(f"{folder}: not a run of `stage2 reader`")
    reader = OpennessReader()
    try:
        reader.load_state_dict(state)
    except RuntimeError as error:
        raise TrainingError(f"{folder}: its reader has other layers than today's; train a new one") from error
    return reader


def export(options: Namespace) -> None:
    """Put a model together from runs, and write it as `--model` takes it."""
    if options.output.exists():
        raise TrainingError(f"{options.output}: exists; give another folder, or remove it")
    if options.model is not None:
        model = load_model(options.model)
    else:
        config, state = read_average(options.run)
        if "size" not in config:
            raise TrainingError(f"{options.run}: not a run of stage1; give it with --with, beside --run or --model")
        scale, guided = config.get("crop_scale", CROP_SCALE), config["weights"]["guide"] > 0
        model = assemble(state, replace(SIZES[config["size"]], crop_scale=scale, guided=guided))
    for folder in options.parts:
        config, state = read_average(folder)
        if config.get("part") not in PARTS:
            raise TrainingError(f"{folder}: not a run of `stage2 stitching`, `stage2 eyes` or `stage2 lips`")
        model.get_submodule(PARTS[config["part"]]).load_state_dict(state)
    weights.save_official(model, options.output)
