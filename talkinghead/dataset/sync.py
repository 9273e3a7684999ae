"""Do sound and lips belong together, and how far apart are they? The embedded voice model is the judge."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from audio2motion import FRAME_RATE
from audio2motion.training.metrics import pearson
from liveportrait.mini.regions import MOUTH_CORNERS, rows
from talkinghead.dataset.tracking import Stretch

FURTHEST = 12  # frames by which sound and picture may be apart
LEAST_SCORE = 0.2
LEAST_SECONDS = 3.0  # of pictures in a file, below which its lag is a guess and stays zero
NEAR = 2  # frames about the lag within which one clip's own best score counts


@dataclass(frozen=True)
class Sync:
    """How the lips of a file go with its sound.

    Attributes:
        lag: Frames by which the lips come later than the sound; the sound is delayed by as much.
        score: Correlation at that lag, mean over its stretches by length.
    """

    lag: int
    score: float


def opening(stretch: Stretch) -> Tensor:
    """Measure how open the lips are, height over width, shape (frames,)."""
    points = torch.from_numpy(stretch.points)
    upper, lower, left, right = rows((13, 14, *MOUTH_CORNERS))
    gap = (points[:, upper, :2] - points[:, lower, :2]).norm(dim=-1)
    return gap / (points[:, left, :2] - points[:, right, :2]).norm(dim=-1).clamp_min(1e-6)


def correlations(seen: Tensor, start: int, heard: Tensor) -> Tensor:
    """Correlate seen lips with those predicted from the sound.

    Args:
        seen: Openness of the frames from `start` on, shape (T,).
        start: Number of the first of them in the file.
        heard: Openness predicted for every frame of the file, shape (F,).

    Returns:
        Correlation for every lag from -12 to 12 frames, shape (25,); zero where too little is heard.
    """
    found = []
    for lag in range(-FURTHEST, FURTHEST + 1):
        first, last = max(start - lag, 0), min(start - lag + len(seen), len(heard))
        both = last - first
        part = seen[first - start + lag :][: max(both, 0)]
        found.append(pearson(part, heard[first:last]) if both > len(seen) // 2 else 0.0)
    return torch.tensor(found)


def find_sync(stretches: list[Stretch], heard: Tensor) -> Sync:
    """Find one lag for a file."""
    if not stretches:
        return Sync(0, 0.0)
    curves = torch.stack([correlations(opening(one), one.start, heard) for one in stretches])
    weights = torch.tensor([float(len(one)) for one in stretches])
    curve = (curves * weights[:, None]).sum(0) / weights.sum()
    best = int(curve.argmax())
    if weights.sum() < LEAST_SECONDS * FRAME_RATE or best in (0, 2 * FURTHEST):
        best = FURTHEST  # a maximum at the end of the range is none
    return Sync(best - FURTHEST, float(curve[best]))


def score_of(stretch: Stretch, heard: Tensor, sync: Sync) -> float:
    """Return one clip's own best correlation near its file's lag."""
    middle = sync.lag + FURTHEST
    return float(correlations(opening(stretch), stretch.start, heard)[max(middle - NEAR, 0) : middle + NEAR + 1].max())
