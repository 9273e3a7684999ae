"""Load and save trained motion generators: config.json beside model.safetensors."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from audio2motion.flow.config import FlowConfig
from audio2motion.flow.model import MotionFlow
from audio2motion.weights import parse_encoder
from liveportrait.errors import WeightsError, WeightsNotFoundError

KIND = "flow"


def read_settings(directory: Path) -> dict[str, Any]:
    """Read config.json; empty where there is none, or none of ours."""
    try:
        settings = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, dict) and settings.get("voice") == KIND else {}


def parse_config(values: dict[str, Any]) -> FlowConfig:
    """Turn what config.json holds into a config.

    Raises:
        TypeError: A setting is unknown.
    """
    sizes = {name: value for name, value in values.items() if name not in ("voice", "encoder")}
    return FlowConfig(encoder=parse_encoder(values["encoder"]), **sizes)


def load(directory: Path) -> MotionFlow:
    """Load a trained model; in eval mode on the CPU, in float32.

    Raises:
        WeightsNotFoundError: There is none in this directory.
        WeightsError: A file is not what its name says.
    """
    settings = read_settings(directory)
    if not settings or not (directory / "model.safetensors").is_file():
        raise WeightsNotFoundError(
            f"{directory}: no motion generator; give a directory that train_motion.py exported to"
        )
    try:
        config = parse_config(settings)
        if config.encoder.checkpoint is not None and (directory / "encoder").is_dir():
            config = replace(config, encoder=replace(config.encoder, checkpoint=str(directory / "encoder")))
        model = MotionFlow(config)
        model.load_state_dict({n: t.float() for n, t in load_file(directory / "model.safetensors").items()})
    except (TypeError, KeyError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise WeightsError(f"{directory}: weights and config.json do not fit ({reason}); export it again") from error
    return model.eval()


def save(model: MotionFlow, directory: Path) -> None:
    """Write a model in float32."""
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.cpu().contiguous().clone() for name, value in model.state_dict().items()}
    save_file(tensors, directory / "model.safetensors")
    if model.config.encoder.checkpoint is not None:
        model.encoder.network.config.save_pretrained(directory / "encoder")
    settings = {"voice": KIND, **asdict(model.config)}
    (directory / "config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
