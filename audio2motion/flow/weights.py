"""Load and save trained motion generators: config.json beside model.safetensors."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from audio2motion.flow.config import FlowConfig
from audio2motion.flow.model import MotionFlow
from audio2motion.weights import check_encoder, own_encoder
from liveportrait.errors import WeightsError, WeightsNotFoundError
from liveportrait.weight_files import is_file, read_settings, read_sizes, read_weights, shapes_of

KIND = "flow"


def settings_of(directory: Path) -> dict[str, Any]:
    """Read config.json; return an empty dictionary if it is missing or not ours."""
    path = directory / "config.json"
    try:
        settings = read_settings(path) if is_file(path) else {}
    except WeightsError:
        return {}
    return settings if settings.get("voice") == KIND else {}


def parse_config(values: dict[str, Any], path: Path) -> FlowConfig:
    """Convert the content of a config.json to a config.

    Args:
        values: As read.
        path: The file, for messages.

    Raises:
        WeightsError: A setting is unknown or out of range.
    """
    config = read_sizes(FlowConfig, {name: value for name, value in values.items() if name != "voice"}, path)
    check_encoder(config.encoder, path)
    if config.overlap > min(config.num_frames - config.num_previous, config.num_frames // 2):
        raise WeightsError(f"{path}: windows of {config.num_frames} frames cannot overlap by {config.overlap}")
    return config


def load(directory: Path) -> MotionFlow:
    """Load a trained model in eval mode on the CPU, in float32.

    Raises:
        WeightsNotFoundError: There is none in this directory.
        WeightsError: A file is not what its name says.
    """
    settings, path, file = settings_of(directory), directory / "config.json", directory / "model.safetensors"
    if not settings or not is_file(file):
        raise WeightsNotFoundError(
            f"{directory}: no motion generator; give a directory that `train.py motion export` wrote"
        )
    config = parse_config(settings, path)
    config = replace(config, encoder=own_encoder(config.encoder, directory))
    tensors = read_weights(file, shapes_of(lambda: MotionFlow(config), path))
    model = MotionFlow(config)
    model.load_state_dict(tensors)
    return model.eval()


def save(model: MotionFlow, directory: Path) -> None:
    """Write a model in float32."""
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.cpu().contiguous().clone() for name, value in model.state_dict().items()}
    save_file(tensors, directory / "model.safetensors")
    if model.config.encoder.checkpoint is not None:
        model.encoder.save_architecture(directory / "encoder")
    settings = {"voice": KIND, **asdict(model.config)}
    (directory / "config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
