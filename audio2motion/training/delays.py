"""Find how late people's lips come after their sound in the training clips: footage is seldom in sync to the frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from audio2motion.training.metrics import lag_correlations
from audio2motion.training.speech_tracks import SpeechTracks

FURTHEST = 3  # frames


def lip_delays(
    tracks: SpeechTracks, clips: Iterable[int], opening_of: Callable[[int], Tensor], most: int = 1500
) -> dict[str, float]:
    """Compare people's lips with those that a network hears.

    Args:
        tracks: Speech with its lips.
        clips: Which of its clips to use.
        opening_of: Predicts the lip opening of a clip from its sound, shape (T,).
        most: Frames of a person after which no more of the clips are heard.

    Returns:
        Delay of each person's lips in frames, between -3 and 3: where the correlation of the two, averaged over the
        person's clips by their length, is highest.
    """
    curves: dict[str, Tensor] = {}
    heard: dict[str, int] = {}
    for clip in clips:
        who, frames = tracks.identities[clip], slice(tracks.offsets[clip], tracks.offsets[clip + 1])
        count = frames.stop - frames.start
        if heard.get(who, 0) >= most or count <= 4 * FURTHEST:
            continue
        lags = lag_correlations(opening_of(clip), tracks.opening[frames], FURTHEST)
        curves[who] = curves.get(who, torch.zeros(len(lags))) + count * torch.tensor(list(lags.values()))
        heard[who] = heard.get(who, 0) + count
    return {who: highest(curve) - FURTHEST for who, curve in curves.items()}


def highest(curve: Tensor) -> float:
    """Return where a curve (N,) is highest, by the parabola through its highest point and the two beside it."""
    top = int(curve.argmax())
    if not 0 < top < len(curve) - 1:
        return float(top)
    before, at, after = curve[top - 1 : top + 2].tolist()
    bend = before - 2 * at + after
    return top + (0.0 if bend == 0 else 0.5 * (before - after) / bend)
