"""Command that fits the maps between the face mesh and the official models."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from liveportrait.mini.face_model import embedded_face_model
from liveportrait.training.official_map_fit import Errors, OfficialClip, fit_official_map, leave_one_out
from liveportrait.writing import save_tensors


def official_map(
    data: Annotated[Path, typer.Argument(help="NPZ file with landmarks and motion of clips; its JSON lies beside it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Safetensors file to write.")],
) -> None:
    """Fit the maps to clips that the official motion extractor has seen, and report errors on clips left out."""
    clips = read_clips(data)
    typer.echo(f"{'':16}" + "".join(f"{name:>8}" for name in clips) + f"{'mean':>8}")
    found = list(leave_one_out(list(clips.values())))
    for field in fields(Errors):
        values = [getattr(each, field.name) for each in found]
        typer.echo(f"{field.name:16}" + "".join(f"{value:8.3f}" for value in [*values, sum(values) / len(values)]))
    maps = fit_official_map(list(clips.values()))
    for name in ("eye_knots", "lip_knots", "position", "position_back", "scale_back"):
        typer.echo(f"{name}: {np.round(getattr(maps, name).numpy(), 4).tolist()}")
    tensors = {field.name: getattr(maps, field.name).contiguous() for field in fields(maps)}
    save_tensors(tensors, output, replace=True)


def read_clips(data: Path) -> dict[str, OfficialClip]:
    """Read the clips that have landmarks, by name."""
    face, clips = embedded_face_model(), {}
    sizes = {row["clip"]: row.get("size_hw") for row in json.loads(data.with_suffix(".json").read_text())}
    with np.load(data) as stored:
        for name, size in sizes.items():
            if f"{name}/landmarks" not in stored:
                continue
            points = torch.from_numpy(stored[f"{name}/landmarks"]) * 2 / size[1]
            points[..., :2] -= 1
            motion = (torch.from_numpy(stored[f"{name}/{part}"]) for part in ("exp", "R", "t", "scale", "eyes", "lip"))
            clips[name] = OfficialClip.measure(face, points, *motion)
    return clips
