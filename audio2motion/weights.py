"""Load and save audio-to-motion models: config.json beside model.safetensors."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from safetensors.torch import save_file
from torch import nn

from audio2motion.config import FEATURE_SAMPLES, AudioToMotionConfig, EncoderConfig
from audio2motion.idle import FADE
from audio2motion.network import SpeechToMouth
from liveportrait.errors import WeightsError, WeightsNotFoundError
from liveportrait.weight_files import empty_network, is_file, read_settings, read_sizes, read_weights, shapes_of

EMBEDDED = Path(__file__).parent / "weights"
_LEAST_RECOGNISER_SIZE = 4
_MOST_ENCODER_LAYERS, _MOST_ENCODER_SIZE = 64, 100_000


Network = TypeVar("Network", bound=nn.Module)


class SavableModel(Protocol):
    """What `save` needs of a model: `audio2motion.model.AudioToMotion` imports this module, not the other way round."""

    config: AudioToMotionConfig
    mouth: SpeechToMouth

    def state_dict(self) -> dict[str, Any]:
        """Return all tensors by name."""
        ...


def load(build: Callable[[AudioToMotionConfig], Network], name_or_directory: str | Path) -> Network:
    """Build a model from its config and fill it; see `AudioToMotion.from_pretrained`."""
    directory = EMBEDDED / "mini" if name_or_directory == "mini" else Path(name_or_directory)
    path, file = directory / "config.json", directory / "model.safetensors"
    for each in (path, file):
        if not is_file(each):
            raise WeightsNotFoundError(
                f'{each}: no such file; give "mini" or a directory with config.json and model.safetensors'
            )
    settings = read_settings(path)
    graphs = settings.pop("graphs", {})
    if not isinstance(graphs, dict):
        raise WeightsError(f'{path}: "graphs" is no object; fetch it again')
    config = parse_config(settings, path)
    config = replace(config, encoder=own_encoder(config.encoder, directory))
    if config.encoder.checkpoint is None:
        model = empty_network(lambda: build(config), path)
        state = model.state_dict()
    else:
        state, model = shapes_of(lambda: build(config), path), build(config)
    tensors = read_weights(file, state)
    _check_life(tensors["life_bounds"].tolist(), config, file)
    model.load_state_dict(tensors, assign=True)
    cast(SavableModel, model).mouth.read_graph(directory, graphs)
    return model.eval()


def _check_life(bounds: list[int], config: AudioToMotionConfig, path: Path) -> None:
    """Check that recordings follow each other, each long enough to fade into the next."""
    lengths = [end - start for start, end in itertools.pairwise(bounds)]
    if bounds[0] != 0 or bounds[-1] != config.num_life_frames or min(lengths) <= FADE:
        raise WeightsError(f"{path}: key 'life_bounds' does not cut {config.num_life_frames} frames; fetch it again")


def save(model: SavableModel, directory: Path) -> None:
    """Write a model in half precision, and the graph of its networks if it has an encoder of its own."""
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {name: t.half() if t.is_floating_point() else t for name, t in model.state_dict().items()}
    save_file({name: t.cpu().contiguous() for name, t in tensors.items()}, directory / "model.safetensors")
    graphs = {}
    if model.config.encoder.checkpoint is not None:
        model.mouth.encoder.save_architecture(directory / "encoder")
    else:
        graphs = {"graphs": model.mouth.write_graph(directory)}
    (directory / "config.json").write_text(json.dumps(asdict(model.config) | graphs, indent=2) + "\n")


def parse_config(values: dict[str, Any], path: Path) -> AudioToMotionConfig:
    """Turn what a config.json holds into a config.

    Args:
        values: As read.
        path: The file, for messages.

    Raises:
        WeightsError: A setting is unknown or out of range.
    """
    recogniser = values.get("recogniser")
    if isinstance(recogniser, dict) and "kernel" in recogniser:
        raise WeightsError(f"{path}: has the recogniser of an earlier version, which is no longer read; train it again")
    config = read_sizes(AudioToMotionConfig, values, path)
    check_encoder(config.encoder, path)
    if config.recogniser is not None and (
        config.recogniser.size % 2 or config.recogniser.size < _LEAST_RECOGNISER_SIZE
    ):
        raise WeightsError(f"{path}: the recogniser's size {config.recogniser.size} is not even and 4 or more")
    return config


def check_encoder(config: EncoderConfig, path: Path) -> None:
    """Check that sizes of an encoder go together.

    Raises:
        WeightsError: They do not.
    """
    layers = {len(config.conv_dim), len(config.conv_kernel), len(config.conv_stride)}
    if len(layers) > 1 or math.prod(config.conv_stride) != FEATURE_SAMPLES:
        raise WeightsError(f"{path}: the encoder's convolutions do not step {FEATURE_SAMPLES} samples; fetch it again")


def own_encoder(config: EncoderConfig, directory: Path) -> EncoderConfig:
    """Take a published encoder's architecture from a model's own folder: its weights hold the encoder too.

    Raises:
        WeightsError: It is not there, or out of range; nothing is fetched.
    """
    if config.checkpoint is None:
        return config
    numbers = read_settings(directory / "encoder" / "config.json")
    for name, value in numbers.items():
        most = _MOST_ENCODER_LAYERS if "layers" in name else _MOST_ENCODER_SIZE
        if any(isinstance(each, int) and each > most for each in (value if isinstance(value, list) else [value])):
            raise WeightsError(f"{directory / 'encoder' / 'config.json'}: {name[:40]} is above {most}; fetch it again")
    return replace(config, checkpoint=str(directory / "encoder"))
