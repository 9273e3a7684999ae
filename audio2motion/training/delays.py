"""Find how late people's lips come after their sound in the training clips: footage is seldom in sync to the frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from audio2motion.training.metrics import lag_correlations
from audio2motion.training.speech_tracks import SpeechTracks

FURTHEST = 3  # frames
SURE = 0.3  # least correlation at the delay that is found


def lip_delays(
    tracks: SpeechTracks, clips: Iterable[int], opening_of: Callable[[int], Tensor], most: int = 1500
) -> dict[str, float]:
    """Measure how late each person's lips are, against the lips that a network predicts from the sound.

    Args:
        tracks: Speech with its lips.
        clips: Which of its clips to use; those of 12 frames or less are left out.
        opening_of: Predicts the lip opening of a clip of T frames from its sound, shape (T,).
        most: Frames of a person after which no more of the clips are heard.

    Returns:
        Delay of each person's lips in frames, above -3 and below 3, positive where the lips are late: where the
        correlation of the two, averaged over the person's clips by their length, is highest. People whose correlation
        is highest at -3 or 3, or below 0.3 everywhere, are missing.
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
    found = {who: highest(curve / heard[who]) for who, curve in curves.items()}
    return {who: place - FURTHEST for who, place in found.items() if place is not None}


def highest(curve: Tensor) -> float | None:
    """Return where a curve (N,) of correlations is highest, in samples from its start.

    It is the top of the parabola through the highest sample and the two beside it; None if that is the first or last
    sample, or below SURE.
    """
    top = int(curve.argmax())
    if not 0 < top < len(curve) - 1 or not float(curve[top]) >= SURE:
        return None
    before, at, after = curve[top - 1 : top + 2].tolist()
    bend = before - 2 * at + after
    return top + (0.0 if bend == 0 else 0.5 * (before - after) / bend)
