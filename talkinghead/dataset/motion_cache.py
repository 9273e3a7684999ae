"""Motion of clips beside their sound, one file per clip: written once, read by every training."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from audio2motion.training.flow_data import MotionClips
from liveportrait.errors import PortraitError
from liveportrait.writing import save_tensors


class CacheError(PortraitError, ValueError):
    """A folder holds no clips, or no motion that fits."""


@dataclass(frozen=True)
class CachedClip:
    """One clip.

    Attributes:
        numbers: Motion, shape (frames, D); see `audio2motion.flow.codec`.
        waveform: int16 at 16 kHz, shape (640 · frames,).
        identity: Who speaks.
        permissive: Whether it may train weights that ship.
        model: What read the motion.
    """

    numbers: Tensor
    waveform: Tensor
    identity: str
    permissive: bool
    model: str


def read_manifest(folder: Path) -> list[dict[str, str]]:
    """List the clips of a split whose voice is heard.

    Raises:
        CacheError: There is no manifest.
    """
    file = folder / "manifest.csv"
    if not file.is_file():
        raise CacheError(f"{file}: no such file; give a folder that `prepare.py clips` wrote")
    with file.open() as stream:
        return [row for row in csv.DictReader(stream) if row["has_synced_audio"] == "yes"]


def write_clip(file: Path, clip: CachedClip) -> None:
    """Write a clip, complete or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    about = {"identity": clip.identity, "permissive": str(clip.permissive), "model": clip.model}
    tensors = {"numbers": clip.numbers.contiguous(), "waveform": clip.waveform.contiguous()}
    save_tensors(tensors, file, about, replace=True)


def read_clip(file: Path) -> CachedClip:
    """Read a clip."""
    with safe_open(file, "pt") as stored:
        about = stored.metadata()
        numbers, waveform = (stored.get_tensor(name) for name in ("numbers", "waveform"))
    return CachedClip(numbers, waveform, about["identity"], about["permissive"] == "True", about["model"])


def read_clips(folder: Path, permissive_only: bool) -> MotionClips:
    """Read a split's cached motion.

    Raises:
        CacheError: There is none, or models of different kinds read it.
    """
    clips = [read_clip(file) for file in sorted(folder.glob("*.safetensors"))]
    clips = [clip for clip in clips if clip.permissive or not permissive_only]
    if not clips:
        raise CacheError(f"{folder}: no motion to learn from; write it with `prepare.py motion`")
    models = sorted({clip.model for clip in clips})
    if len(models) > 1:
        raise CacheError(f"{folder}: motion of different models, {' and '.join(models)}; extract it anew")
    ends = torch.tensor([0, *(len(clip.numbers) for clip in clips)]).cumsum(0).tolist()
    people = sorted({clip.identity for clip in clips})
    return MotionClips(
        waveform=torch.cat([clip.waveform for clip in clips]),
        numbers=torch.cat([clip.numbers for clip in clips]),
        bounds=list(pairwise(ends)),
        speakers=[people.index(clip.identity) for clip in clips],
    )
