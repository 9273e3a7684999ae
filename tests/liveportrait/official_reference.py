"""Reads the golden files: official checkpoints filled with weights drawn from names, inputs drawn from seeds."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file
from torch import Tensor

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
SALT = "dev"


def draw(name: str, shape: tuple[int, ...], salt: str = SALT) -> np.ndarray:
    """Standard normals in float64 that depend on the name alone."""
    seed = int.from_bytes(hashlib.sha256(f"{salt}:{name}".encode()).digest()[:8], "big")
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(shape)


def drawn_value(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """What the reference puts under a checkpoint name: sizes that keep activations in range."""
    kind = name.rsplit(".", 1)[-1]
    if kind == "num_batches_tracked":
        return np.zeros(shape)
    n = draw(name, shape)
    if kind in ("running_mean", "gamma", "beta"):
        return 0.1 * n
    if kind == "running_var":
        return 1.0 + 0.1 * np.abs(n)
    if kind == "bias":
        return 0.02 * n
    if n.ndim < 2:
        return 1.0 + 0.1 * n
    return n * np.sqrt((2.0 if n.ndim > 3 else 1.0) / np.prod(shape[1:]))


def fill(keys: list, prefix: str = "") -> dict[str, Tensor]:
    """A state dict for (name, shape, type) entries; spectral vectors by power iteration from a drawn start."""
    state = {
        name: torch.from_numpy(np.array(drawn_value(prefix + name, tuple(shape)))).to(getattr(torch, dtype))
        for name, shape, dtype in keys
        if not name.endswith(("weight_u", "weight_v"))
    }
    for name, shape, _ in keys:
        if not name.endswith("weight_u"):
            continue
        stem = name.removesuffix("u")
        weight = state[stem + "orig"].double().flatten(1).numpy()
        u = draw(prefix + name, tuple(shape))
        for _ in range(20):
            v = weight.T @ u / np.linalg.norm(weight.T @ u)
            u = weight @ v / np.linalg.norm(weight @ v)
        state[stem + "u"], state[stem + "v"] = (torch.from_numpy(x).float() for x in (u, v))
    return state


@cache
def checkpoint_index() -> dict:
    return json.loads((GOLDEN / "liveportrait_checkpoints.json").read_text())


def checkpoint(file: str) -> dict:
    """What torch.load of an official file would give, filled."""
    entry = checkpoint_index()[file]
    if "nested" not in entry:
        return fill(entry["keys"])
    return {
        part: {f"module.{name}": value for name, value in fill(keys, f"{part}.").items()}
        for part, keys in entry["nested"].items()
    }


def write_checkpoints(directory: Path, *files: str) -> Path:
    """Write filled official files in upstream's layout."""
    for file in files:
        path = directory / Path(checkpoint_index()[file]["path"]).relative_to("liveportrait")
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(checkpoint(file), path)
    return directory


def make_input(spec: dict) -> np.ndarray:
    """Draw an input from its recipe."""
    rng, shape = np.random.Generator(np.random.PCG64(spec["seed"])), tuple(spec["shape"])
    if spec["kind"] == "normal":
        x = spec.get("shift", 0.0) + spec.get("scale", 1.0) * rng.standard_normal(shape)
    elif spec["kind"] == "uniform":
        x = rng.uniform(spec["low"], spec["high"], shape)
    elif spec["kind"] == "constant":
        x = np.full(shape, float(spec["value"]))
    else:
        grid = [n // spec["cell"] if i in spec["axes"] else n for i, n in enumerate(shape)]
        tile = [spec["cell"] if i in spec["axes"] else 1 for i in range(len(shape))]
        coarse = np.kron(rng.random(grid), np.ones(tile))
        x = 0.7 * coarse + 0.3 * rng.random(shape)
    return x.astype(spec.get("dtype", "float32"))


def block_means(x: np.ndarray, block: list[int]) -> np.ndarray:
    split = [d for n, b in zip(x.shape, block, strict=True) for d in (n // b, b)]
    return x.astype(np.float64).reshape(split).mean(axis=tuple(range(1, 2 * x.ndim, 2)))


class Golden:
    """One golden set: inputs by name, and how far an answer is from the stored one."""

    def __init__(self, stem: str, folder: Path = GOLDEN):
        self.index = json.loads((folder / f"{stem}.json").read_text())
        self.tensors = load_file(folder / f"{stem}.safetensors")
        self.cases = {case["name"]: case for case in self.index["cases"]}

    def input(self, name: str) -> Tensor:
        spec = self.index["inputs"][name]
        return torch.from_numpy(self.tensors[name] if spec["kind"] == "stored" else make_input(spec))

    def output(self, name: str) -> Tensor:
        """An answer that is stored whole."""
        return torch.from_numpy(np.asarray(self.tensors[name]))

    def difference(self, name: str, answer: Tensor) -> float:
        """Largest absolute difference over all that is stored of an answer."""
        entry, mine = self.index["outputs"][name], answer.detach().cpu().numpy()
        assert list(mine.shape) == entry["shape"], (name, mine.shape, entry["shape"])
        gaps = []
        for part in entry["parts"]:
            if "block" in part:
                seen = block_means(mine, part["block"])
            else:
                seen = mine[tuple(slice(None, None, s) for s in part.get("stride", [1] * mine.ndim))]
            gap = np.abs(seen.astype(np.float64) - self.tensors[part["key"]].astype(np.float64))
            assert not np.isnan(gap).any(), name
            gaps.append(float(gap.max()))
        return max(gaps)


@cache
def golden(stem: str = "liveportrait") -> Golden:
    return Golden(stem)


@cache
def official_model():
    """The official model with filled weights, through the real loader on files in upstream's layout."""
    from tempfile import TemporaryDirectory

    from liveportrait.weights import load

    with TemporaryDirectory() as folder:
        return load(write_checkpoints(Path(folder), *checkpoint_index()))
