"""How natural speech looks, by measures that need no training: after THEval, with this project's networks.

THEval compares each measure of a generated video with that of the real one. Its networks for picture quality (TOPIQ,
MUSIQ), head pose (FaceXFormer) and voice activity (Silero) are not used here: fine detail, landmarks and loudness take
their place, so the figures compare models with each other, not with published ones.

Source: Quignon et al., "THEval", arXiv 2511.04520.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from talkinghead.evaluation import metrics
from talkinghead.evaluation.landmark_motion import pose_degrees
from talkinghead.evaluation.metrics import Curve, Points

BROWS = (105, 334)  # middle of each brow
REAL = "real "  # begins the names of the real clip's measures
TINY = 1e-6


def silent_lip_motion(opening: Curve, quiet: NDArray[np.bool_]) -> float:
    """Return the mean absolute change of the lip opening from frame to frame in silence; NaN without silence.

    Args:
        opening: Lip opening over the distance of the eyes, shape (T,).
        quiet: Which frames are silent, shape (T,).
    """
    both = quiet[1:] & quiet[:-1]
    return float(np.abs(np.diff(opening))[both].mean()) if both.any() else float("nan")


def opening_against_loudness(opening: Curve, loudness: Curve) -> float:
    """Return the mean absolute difference of lip opening and loudness, each scaled to 0 … 1 within the clip.

    Args:
        opening: Shape (T,).
        loudness: Root mean square of the sound in each frame, shape (T,).
    """
    return float(np.abs(_scaled(opening) - _scaled(loudness)).mean())


def lip_motion(opening: Curve) -> float:
    """Return the mean absolute change of the lip opening (T,) from frame to frame, over the distance of the eyes."""
    return float(np.abs(np.diff(opening)).mean())


def head_motion(angles: NDArray[np.float32]) -> float:
    """Return the standard deviation of pitch, yaw and roll, shape (T, 3), their mean in degrees."""
    return float(angles.std(0).mean())


def brow_motion(points: Points) -> float:
    """Return the standard deviation of how far brows are above the eyes, over the distance of the eyes; (T, 478, 3)."""
    eyes = points[:, [*metrics.LEFT_CORNERS, *metrics.RIGHT_CORNERS], :2].mean(1)
    height = np.linalg.norm(points[:, list(BROWS), :2].mean(1) - eyes, axis=-1) / metrics.inter_ocular(points)
    return float(height.std())


def natural_figures(
    points: Points, quiet: NDArray[np.bool_], loudness: Curve, detail: NDArray[np.float64]
) -> dict[str, float]:
    """Return all measures of one video.

    Args:
        points: Landmarks in pixels, shape (T, 478, 3).
        quiet: Silent frames, shape (T,).
        loudness: Shape (T,).
        detail: Fine detail of face and mouth in each frame, shape (T, 2).
    """
    opening = metrics.lip_opening(points)
    return {
        "silent lip motion": silent_lip_motion(opening, quiet),
        "opening − loudness": opening_against_loudness(opening, loudness),
        "lip motion": lip_motion(opening),
        "head motion": head_motion(pose_degrees(points)),
        "brow motion": brow_motion(points),
        "face detail": float(detail[:, 0].mean()),
        "mouth detail": float(detail[:, 1].mean()),
    }


def closeness(generated: float, real: float) -> float:
    """Return 1 − |generated − real| / |real|: 1 where they are alike, negative where they are far apart."""
    return 1 - abs(generated - real) / max(abs(real), TINY)


def natural_score(means: dict[str, float]) -> float:
    """Return the mean closeness of the generated videos' measures to the real ones'; higher is better, 1 at most.

    Args:
        means: Mean of each measure over all clips, and under the same name after `REAL` that of the real clips.

    Source: THEval, final score.
    """
    names = [name.removeprefix(REAL) for name in means if name.startswith(REAL) and name.removeprefix(REAL) in means]
    return float(np.nanmean([closeness(means[name], means[REAL + name]) for name in names])) if names else float("nan")


def _scaled(curve: Curve) -> Curve:
    low, high = float(curve.min()), float(curve.max())
    return (curve - low) / max(high - low, TINY)
