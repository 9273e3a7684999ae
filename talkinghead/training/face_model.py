"""Command that fits the face model of the embedded weights to landmark tracks."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor

from liveportrait.training.face_model_fit import fit_face_model
from liveportrait.writing import save_tensors


def face_model(
    data: Annotated[Path, typer.Option(help="Folder with landmarks_train.npz and train/manifest.csv.")],
    output: Annotated[Path, typer.Option(help="Safetensors file to write.")],
) -> None:
    """Fit the face model to the clips that may train published weights."""
    model = fit_face_model(*load_tracks(data))
    output.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_tensors(tensors, output, replace=True)


def load_tracks(data: Path) -> tuple[Tensor, list[str], Tensor]:
    """Read permissive tracks: points (frames, K, 3) with ±1 at the crop's edges, clip identities, clip offsets."""
    with np.load(data / "landmarks_train.npz") as tracks:
        offsets, points = tracks["offsets"], tracks["landmarks"].astype(np.float32)
    with (data / "train" / "manifest.csv").open() as file:
        manifest = list(csv.DictReader(file))
    keep = [n for n, row in enumerate(manifest) if row["permissive"] == "yes"]
    frames = np.concatenate([np.arange(offsets[n], offsets[n + 1]) for n in keep])
    lengths = [int(offsets[n + 1] - offsets[n]) for n in keep]
    scaled = points[frames] / 128.0
    scaled[..., :2] -= 1.0
    return (
        torch.from_numpy(scaled),
        [manifest[n]["identity"] for n in keep],
        torch.tensor([0, *np.cumsum(lengths)]),
    )
