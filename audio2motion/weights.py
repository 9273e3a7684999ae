"""Load and save audio-to-motion models: config.json beside model.safetensors."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from audio2motion.config import AudioToMotionConfig, EncoderConfig, RecogniserConfig
from audio2motion.model import AudioToMotion
from liveportrait.errors import WeightsError, WeightsNotFoundError

EMBEDDED = Path(__file__).parent / "weights"


def load(name_or_directory: str | Path) -> AudioToMotion:
    """Load a model by name or directory; see `AudioToMotion.from_pretrained`."""
    directory = EMBEDDED / "mini" if name_or_directory == "mini" else Path(name_or_directory)
    for name in ("config.json", "model.safetensors"):
        if not (directory / name).is_file():
            raise WeightsNotFoundError(
                f'{directory / name}: no such file; give "mini" or a directory with config.json and model.safetensors'
            )
    config = _read_config(directory / "config.json")
    if config.encoder.checkpoint is not None and (directory / "encoder").is_dir():
        # The weights hold the encoder too: only its architecture is needed, and no network.
        config = replace(config, encoder=replace(config.encoder, checkpoint=str(directory / "encoder")))
    model = AudioToMotion(config)
    try:
        tensors = load_file(directory / "model.safetensors")
        model.load_state_dict({n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}, strict=True)
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise WeightsError(
            f"{directory / 'model.safetensors'}: not the weights that config.json describes ({reason}); fetch it again"
        ) from error
    return model.eval()


def save(model: AudioToMotion, directory: Path) -> None:
    """Write a model in half precision."""
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {name: t.half() if t.is_floating_point() else t for name, t in model.state_dict().items()}
    save_file({name: t.cpu().contiguous() for name, t in tensors.items()}, directory / "model.safetensors")
    if model.config.encoder.checkpoint is not None:
        model.mouth.encoder.network.config.save_pretrained(directory / "encoder")
    (directory / "config.json").write_text(json.dumps(asdict(model.config), indent=2) + "\n")


def parse_config(values: dict[str, Any]) -> AudioToMotionConfig:
    """Turn what config.json holds into a config.

    Raises:
        TypeError: A setting is unknown or missing.
    """
    values = _with_tuples(values)
    encoder, numbers = parse_encoder(values.pop("encoder")), values.pop("recogniser", None)
    recogniser = RecogniserConfig(**numbers) if numbers else None
    return AudioToMotionConfig(encoder=encoder, recogniser=recogniser, **values)


def parse_encoder(values: dict[str, Any]) -> EncoderConfig:
    """Turn the encoder's part of a config.json into a config.

    Raises:
        TypeError: A setting is unknown.
    """
    return EncoderConfig(**_with_tuples(values))


def _with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _read_config(path: Path) -> AudioToMotionConfig:
    try:
        return parse_config(json.loads(path.read_text()))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise WeightsError(f"{path}: not the config of an audio-to-motion model ({error}); fetch it again") from error
