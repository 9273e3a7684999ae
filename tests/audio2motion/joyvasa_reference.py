"""Stand-ins for the published motion generator: weights drawn from names, written as the files that upstream ships."""

from __future__ import annotations

import json
import pickle
from argparse import Namespace
from functools import cache
from pathlib import Path, PosixPath
from tempfile import TemporaryDirectory

import numpy as np
import torch
from official_reference import GOLDEN, Golden, draw
from torch import Tensor

from audio2motion.joyvasa.weights import load

HUBERT_STATES = "audio_encoder.encoder"


@cache
def golden() -> Golden:
    return Golden("joyvasa")


@cache
def checkpoint_index() -> dict:
    return json.loads((GOLDEN / "joyvasa_checkpoint.json").read_text())


def drawn_value(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """What the reference puts under a checkpoint name."""
    n, last = draw(name, shape), name.rsplit(".", 1)[-1]
    if last.endswith("bias"):
        return 0.02 * n
    if "weight" not in last:
        return n
    return 1 + 0.1 * n if n.ndim < 2 else n * np.sqrt((2.0 if n.ndim > 3 else 1.0) / np.prod(shape[1:]))


def is_table(name: str) -> bool:
    return name.endswith(".pe") or "diffusion_sched." in name or name.endswith("alignment_mask")


def slim_shape(name: str, shape: list[int]) -> tuple[int, ...]:
    """The encoder with few channels and a narrow middle: it says nothing about speech but has every name."""
    if name.startswith("audio_encoder.feature_extractor"):
        return tuple(8 if n == 512 else n for n in shape)
    if name.startswith("audio_encoder.feature_projection"):
        return tuple(8 if n == 512 else n for n in shape)
    if "pos_conv_embed.conv.parametrizations" in name:
        return (1, 1, 3) if name.endswith("original0") else (768, 1, 3)
    return tuple(16 if n == 3072 else n for n in shape)


def keys(release: str) -> list[tuple[str, list[int]]]:
    """Names and shapes of a published file without the tables that its constructor computes."""
    index = checkpoint_index()
    entries = list(index[release]["keys"])
    if release == "v1":
        entries += [key for key in index["v2"]["keys"] if key[0].startswith("audio_encoder.")]
    return [(name, shape) for name, shape, _ in entries if not is_table(name)]


def arguments(config: dict) -> Namespace:
    """Training arguments with what is read at inference, a path and something that is not read."""
    read = {name: config[name] for name in ("motion_feat_dim", "n_prev_motions", "n_motions", "feature_dim")}
    return Namespace(
        **read,
        n_diff_steps=config["n_diff_steps"],
        audio_model="hubert_zh_ori",
        fps=25,
        pad_mode="zero",
        use_indicator=True,
        exp_dir=PosixPath("/experiments/one"),
    )


def template() -> dict[str, np.ndarray]:
    names = [name for name in golden().index["inputs"] if name.startswith("template/")]
    return {name.removeprefix("template/"): golden().input(name).numpy() for name in names}


def write(directory: Path, args: Namespace, tensors: dict[str, Tensor]) -> Path:
    """Write both files in upstream's layout."""
    generator = directory / "motion_generator" / "motion_generator_hubert_chinese.pt"
    statistics = directory / "motion_template" / "motion_template.pkl"
    for path in (generator, statistics):
        path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"args": args, "model": tensors, "iter": 3}, generator)
    statistics.write_bytes(pickle.dumps(template()))
    return directory


@cache
def model(release: str, slim: bool):
    """The generator of a release through the real loader; `slim` spares the speech encoder's 94 M weights."""
    tensors = {}
    for name, shape in keys(release):
        size = slim_shape(name, shape) if slim else tuple(shape)
        if slim and ".encoder.layers." in name and ".encoder.layers.0." not in name:
            continue
        tensors[name] = torch.from_numpy(drawn_value(name, size)).float()
    with TemporaryDirectory() as folder:
        return load(write(Path(folder), arguments(checkpoint_index()[release]["config"]), tensors))


TINY = {"motion_feat_dim": 73, "n_prev_motions": 4, "n_motions": 20, "feature_dim": 32, "n_diff_steps": 50}


def tiny_tensors() -> dict[str, Tensor]:
    """A state dict of upstream's names at toy size: 20 frames a window, two decoder layers."""
    sizes = {10: 4, 256: 32, 768: 64, 1024: 16, 3072: 16, 512: 8, 128: 16}
    generator = torch.Generator().manual_seed(5)
    tensors = {}
    for name, shape in keys("v2"):
        parts = name.split(".")
        if "layers" in parts and int(parts[parts.index("layers") + 1]) > (0 if HUBERT_STATES in name else 1):
            continue
        size = [sizes.get(n, n) for n in shape]
        if "in_proj" in name:
            size[0] = 96
        if "pos_conv_embed.conv.parametrizations" in name:
            size = [1, 1, 4] if name.endswith("original0") else [64, 4, 4]
        if name.endswith("conv_layers.0.conv.weight"):
            size = [8, 1, 10]
        value = torch.randn(size, generator=generator) / max(1, size[-1]) ** 0.5
        tensors[name] = 1 + 0.1 * value if "norm" in name and name.endswith("weight") else value
    return tensors


@cache
def tiny_model():
    with TemporaryDirectory() as folder:
        return load(write(Path(folder), arguments(TINY), tiny_tensors()))
