"""Close the mouth in silence."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from audio2motion.loudness import loudness_db

SILENT_DB = -50.0  # at the common level: 30 dB below the loud moments of a voice
ABOVE_NOISE_DB = 5.0
NOISIEST_DB = -40.0  # louder noise is not treated as silence
REACH = 3  # frames around sound in which the mouth may move: lips open before the sound starts
FADE = 1  # frames that the transition reaches to either side: lips rest from the sixth quiet frame on
LONGEST_PAUSE = 16  # frames between sounds, fading included, up to which lips stay: real ones seldom close
CALM = 7  # frames over which their motion is averaged then


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


def close_in_silence(mouth: Tensor, loudness: Tensor, *, keep_pauses: bool) -> Tensor:
    """Move mouth coefficients to rest where there is no sound.

    Args:
        mouth: Coefficients, shape (T, C); zero is the mouth at rest.
        loudness: Decibels at the common level, shape (T,).
        keep_pauses: Whether the mouth stays as it is, but calmer, in short pauses. Whether a pause is short is known
            only after it, so this is for recordings.

    Returns:
        Shape (T, C).
    """
    share = speaking(loudness)[:, None]
    closed = mouth * share
    if not keep_pauses:
        return closed
    return torch.where(_in_short_pause(share), torch.lerp(_calmed(mouth), mouth, share), closed)


def _in_short_pause(share: Tensor) -> Tensor:
    """Tell which frames of the result of `speaking`, (T, 1), lie in a short pause, with sound before and after it."""
    frame, sound = torch.arange(len(share))[:, None], share > 0.99
    before = torch.where(sound, frame, -len(share)).cummax(0).values
    after = torch.where(sound, frame, 2 * len(share)).flip(0).cummin(0).values.flip(0)
    return (before >= 0) & (after < len(share)) & (after - before - 1 <= LONGEST_PAUSE)


def _calmed(mouth: Tensor) -> Tensor:
    """Average each coefficient, (T, C), over CALM frames."""
    padded = F.pad(mouth.T[None], (CALM // 2, CALM // 2), mode="replicate")
    return F.avg_pool1d(padded, CALM, stride=1)[0].T
