"""What was measured on a clip: kept in a file, so that a run can be stopped and go on, and put together for all."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from talkinghead.evaluation.frechet import frechet_distance
from talkinghead.models import Models

TURN = "turn deg"
"""The column that says how far each frame's head is turned from the source's."""

TURNS = ((0, 10), (10, 20), (20, 35))
"""Head angles in degrees whose errors are shown apart."""

_NONE = np.zeros((0, 0), np.float32)


@dataclass(frozen=True)
class Judged:
    """What was measured on one clip.

    Attributes:
        frames: For each figure one number a judged frame; NaN where it is not known.
        clip: Figures of the clip as a whole.
        shown: Features of the generated crops for FID, shape (T, D).
        real: Those of the real ones.
    """

    frames: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    clip: dict[str, float] = field(default_factory=dict)
    shown: NDArray[np.float32] = field(default_factory=lambda: _NONE)
    real: NDArray[np.float32] = field(default_factory=lambda: _NONE)

    @staticmethod
    def of(rows: list[dict[str, float]], clip: dict[str, float], pairs: list[tuple[NDArray, NDArray]]) -> Judged:
        """Put the rows of the frames and their pairs of features together."""
        frames = {name: np.array([row.get(name, np.nan) for row in rows], float) for name in _names(rows)}
        shown, real = (np.stack(each) for each in zip(*pairs, strict=True)) if pairs else (_NONE, _NONE)
        return Judged(frames, clip, shown, real)

    def figures(self) -> dict[str, float]:
        """Return the mean of every column, and the figures of the clip."""
        known = {name: values[~np.isnan(values)] for name, values in self.frames.items() if name != TURN}
        return {name: float(values.mean()) if len(values) else np.nan for name, values in known.items()} | self.clip

    def save(self, file: Path, settings: str) -> None:
        """Write it to a file, with the settings it was measured with."""
        frames = {f"frames/{name}": values for name, values in self.frames.items()}
        clip = {f"clip/{name}": np.array(value) for name, value in self.clip.items()}
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".part.npz")
        np.savez(partial, settings=np.array(settings), shown=self.shown, real=self.real, **frames, **clip)  # type: ignore[arg-type]
        partial.replace(file)


def read_judged(file: Path, settings: str) -> Judged | None:
    """Read what was measured before; None if there is nothing, or it was measured with other settings."""
    if not file.exists():
        return None
    with np.load(file) as stored:
        if str(stored["settings"]) != settings:
            return None
        frames = {name.removeprefix("frames/"): stored[name] for name in stored.files if name.startswith("frames/")}
        clip = {name.removeprefix("clip/"): float(stored[name]) for name in stored.files if name.startswith("clip/")}
        return Judged(frames, clip, stored["shown"], stored["real"])


def judge_all(
    clips: Iterable[Path],
    judge: Callable[[Path], Judged | None],
    kept: str | None,
    settings: str,
    minutes: float | None,
    others: Mapping[Path, Path] | None = None,
) -> dict[str, Judged]:
    """Judge clip after clip.

    Args:
        clips: The clips.
        judge: Judges one; None where it cannot be judged.
        kept: Folder for what is measured; what is in it is not measured again.
        settings: What a clip's figures depend on, the weights too.
        minutes: No clip is begun after this time; None for no limit.
        others: The file that each clip is judged together with, if it is.
    """
    results, ends = {}, math.inf if minutes is None else time.monotonic() + 60 * minutes
    for clip in clips:
        file = Path(kept) / f"{clip.stem}.npz" if kept else None
        measured_with = f"{settings} {others[clip].name}" if others else settings
        found = read_judged(file, measured_with) if file else None
        if found is None and time.monotonic() < ends:
            found = judge(clip)
            if found is not None and file:
                found.save(file, measured_with)
        if found is not None:
            results[clip.stem] = found
    return results


def models_mark(models: Models) -> str:
    """Return a text that changes with the models' weights, and with whether upstream's landmarks frame faces."""
    mark = hashlib.sha256(f"{models.landmarks is not None}".encode())
    for network in (models.portrait, cast(nn.Module, models.voice)):
        for name, value in chain(network.named_parameters(), network.named_buffers()):  # some buffers are in no state
            flat = value.detach().cpu().reshape(-1).contiguous()
            mark.update(name.encode() + flat.view(torch.uint8).numpy().tobytes())
    return mark.hexdigest()[:16]


def mean_of(judged: Iterable[Judged]) -> dict[str, float]:
    """Return the means of the clips' figures, each over the clips that have it."""
    rows = [each.figures() for each in judged]
    known = {name: [row[name] for row in rows if name in row and not np.isnan(row[name])] for name in _names(rows)}
    return {name: float(np.mean(values)) if values else np.nan for name, values in known.items()}


def fid(judged: Iterable[Judged]) -> dict[str, float]:
    """Return the FID of all clips' crops together, and how many there are; nothing without features."""
    some = [each for each in judged if each.shown.size]
    if sum(len(each.shown) for each in some) < 2:
        return {}
    shown, real = (np.concatenate(each) for each in zip(*((one.shown, one.real) for one in some), strict=True))
    return {"fid": frechet_distance(shown, real), "pictures": float(len(shown))}


def by_turn(judged: Iterable[Judged]) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield the mean figures of all clips' frames whose head is turned by 0 to 10, 10 to 20 and 20 to 35 degrees.

    Frames whose head is turned further are in none.
    """
    clips = [each for each in judged if TURN in each.frames]
    for low, high in TURNS:
        chosen = [(low <= each.frames[TURN]) & (each.frames[TURN] < high) for each in clips]
        count = sum(int(mask.sum()) for mask in chosen)
        row = {"frames": float(count)}
        for name in _names(each.frames for each in clips) if count else ():
            if name == TURN:
                continue
            parts = [each.frames[name][mask] for each, mask in zip(clips, chosen, strict=True) if name in each.frames]
            values = np.concatenate(parts)
            row[name] = float(np.nanmean(values)) if (~np.isnan(values)).any() else np.nan
        yield f"{low} to {high}°", row


def _names(rows: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))
