"""Speech: a clip's first frame and its sound are the input, its lips the truth."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import tee
from pathlib import Path

import av
import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

import talkinghead
from audio2motion.config import FRAME_SAMPLES
from talkinghead.evaluation import metrics
from talkinghead.face import FaceTracker
from talkinghead.media.audio import MODEL_RATE, stream_mono_16k
from talkinghead.media.video import read_frames

QUIET_DB = -45.0  # below the clip's loudest frame: no speech
QUIET_RUN = 4  # frames around that must be quiet too, so that lips had time to close
CLOSED = 0.03  # lip opening over the inter-ocular distance
STILL_BORDER = 0.06  # share of the picture at each side that must not move


def speak_clip(clip: Path, model: str, seed: int) -> dict[str, float] | None:
    """Judge one clip; None if it has no sound. A quiet second is put after its sound, to see the mouth close.

    Returns:
        Pearson correlation of lip opening and width with the real lips at lag 0; best lag in frames (positive:
        generated lips come late); ratio of the spreads; share of silent frames with closed lips; blinks per minute;
        spread of the nose's position over the inter-ocular distance; mean change of the border from frame to frame in
        grey levels, and that of the real clip's.
    """
    with av.open(str(clip)) as container:
        if not container.streams.audio:
            return None
    truth, real_border = watch(frame.picture for frame in read_frames(clip))
    first = next(iter(read_frames(clip))).picture
    options = talkinghead.Options(motion=talkinghead.MotionOptions(seed=seed))
    with tempfile.TemporaryDirectory() as folder:
        voice = Path(folder) / "voice.wav"
        samples = torch.cat([*stream_mono_16k(clip), torch.zeros(MODEL_RATE)]).numpy()
        soundfile.write(voice, samples, MODEL_RATE)
        spoken, border = watch(iter(talkinghead.speak(first, voice, options=options, model=model)))
    both = [(mine, real) for mine, real in zip(spoken, truth, strict=False) if mine is not None and real is not None]
    seen = {n: points for n, points in enumerate(spoken) if points is not None}
    if len(both) < metrics.MIN_FRAMES:
        return None
    mine, real = (np.stack(side) for side in zip(*both, strict=True))
    lips = lip_figures(mine, real)
    motion = motion_figures(np.stack(list(seen.values())), silence(samples)[list(seen)])
    return lips | motion | {"border change": float(np.mean(border)), "real border": float(np.mean(real_border))}


def watch(pictures: Iterator[NDArray[np.uint8]]) -> tuple[list[NDArray[np.float32] | None], list[float]]:
    """Find the landmarks of each picture of a video, and how much its border changes."""
    shown, extracted = tee(pictures)
    pairs = list(zip(tracked(shown), border_changes(extracted), strict=True))
    return [points for points, _ in pairs], [change for _, change in pairs]


def tracked(pictures: Iterator[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32] | None]:
    """Find the landmarks of each picture of a video."""
    yield from FaceTracker().follow(pictures)


def lip_figures(mine: NDArray[np.float32], real: NDArray[np.float32]) -> dict[str, float]:
    """Compare lip curves of generated and real landmarks, (T, 478, 3) each."""
    opening = metrics.lip_opening(mine), metrics.lip_opening(real)
    lags = metrics.lip_lags(*opening)
    return {
        "correlation": lags[0],
        "width corr": metrics.lip_lags(metrics.lip_width(mine), metrics.lip_width(real))[0],
        "lag": max(lags, key=lambda lag: lags[lag]),
        "amplitude": float(opening[0].std() / max(opening[1].std(), 1e-6)),
    }


def motion_figures(mine: NDArray[np.float32], quiet: NDArray[np.bool_]) -> dict[str, float]:
    """Describe silence, blinks and head motion."""
    closed = metrics.lip_opening(mine) < CLOSED
    nose = mine[:, 1, :2] / metrics.inter_ocular(mine)[:, None]
    return {
        "silent frames": int(quiet.sum()),
        "closed": float(closed[quiet].mean()) if quiet.any() else float("nan"),
        "blinks/min": metrics.blinks_per_minute(metrics.eye_openness(mine), 25.0),
        "head spread": float(nose.std(0).mean()),
    }


def silence(samples: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell which frames of 16 kHz sound lie in silence: quiet themselves and all around."""
    import librosa  # its first use compiles code for half a minute, which is why `speak` itself does without it

    whole = np.pad(samples, (0, -len(samples) % FRAME_SAMPLES))
    rms = librosa.feature.rms(y=whole, frame_length=FRAME_SAMPLES, hop_length=FRAME_SAMPLES, center=False)[0]
    level = librosa.amplitude_to_db(rms, amin=1e-5, top_db=None)
    loud = level > max(level.max() + QUIET_DB, -70.0)
    return np.convolve(loud, np.ones(2 * QUIET_RUN + 1), "same") == 0


def border_changes(pictures: Iterator[NDArray[np.uint8]]) -> Iterator[float]:
    """Yield the mean change of the picture's border from one frame to the next, in grey levels; the first is zero."""
    before: NDArray[np.float32] | None = None
    for picture in pictures:
        margin = max(1, round(STILL_BORDER * min(picture.shape[:2])))
        now = np.concatenate([picture[:margin].ravel(), picture[:, :margin].ravel(), picture[:, -margin:].ravel()])
        now = now.astype(np.float32)
        yield 0.0 if before is None else float(np.abs(now - before).mean())
        before = now
