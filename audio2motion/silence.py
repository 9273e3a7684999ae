"""Close the mouth in silence."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from audio2motion.loudness import loudness_db

SILENT_DB = -50.0  # at the common level: 30 dB below the loud moments of a voice
ABOVE_NOISE_DB = 5.0
NOISIEST_DB = -40.0  # louder noise is not treated as silence
REACH = 3  # frames around sound in which the mouth may move: lips open before the sound starts
FADE = 1  # frames that the transition reaches to either side: lips rest from the sixth quiet frame on


def loudness_per_frame(waveform: Tensor) -> Tensor:
    """Return the level of the louder half of each frame in decibels, shape (T,), from samples (640 T,)."""
    return loudness_db(waveform).unflatten(-1, (-1, 2)).amax(-1)


def speaking(loudness: Tensor) -> Tensor:
    """Return a factor on mouth motion that is zero in silence.

    Args:
        loudness: Decibels at the common level, shape (T,).

    Returns:
        1 around sound, 0 in silence, with smooth transitions; shape (T,).
    """
    noise = float(loudness.quantile(0.1)) + ABOVE_NOISE_DB
    sound = (loudness > max(SILENT_DB, min(noise, NOISIEST_DB))).float()[None, None]
    reach = 2 * (REACH + FADE) + 1
    near = F.max_pool1d(sound, reach, stride=1, padding=reach // 2)
    width = 2 * FADE + 1
    return F.avg_pool1d(F.pad(near, (FADE, FADE), mode="replicate"), width, stride=1)[0, 0]
