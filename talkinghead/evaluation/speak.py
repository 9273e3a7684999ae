"""Speech: a clip's first frame and its sound are the input, its lips the truth."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
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
from talkinghead.evaluation.judged import Judged
from talkinghead.evaluation.metrics import Picture, Points
from talkinghead.evaluation.networks import Networks
from talkinghead.evaluation.theval import REAL, natural_figures
from talkinghead.face import FaceTracker, cut, frame_face
from talkinghead.face.quality import FACE_CROP, sharpness
from talkinghead.face.recognise import identity_similarity
from talkinghead.media.audio import MODEL_RATE, stream_mono_16k
from talkinghead.media.video import read_frames
from talkinghead.models import Models

QUIET_DB = -45.0  # below the clip's loudest frame: no speech
QUIET_RUN = 4  # frames around that must be quiet too, so that lips had time to close
CLOSED = 0.03  # lip opening over the inter-ocular distance
DESCRIBED = 10  # frames between two whose identity is compared
STILL_BORDER = 0.06  # share of the picture at each side that must not move


@dataclass(frozen=True)
class Watched:
    """What was seen in the pictures of a video.

    Attributes:
        points: Landmarks of each picture in pixels, shape (478, 3); None where no face was found.
        border: Change of each picture's border since the one before, in grey levels.
        detail: Fine detail of face and mouth of each picture, shape (T, 2); NaN without a face.
        faces: Descriptions of some of the faces, shape (128,) each; none without a network that recognises them.
    """

    points: list[Points | None]
    border: list[float]
    detail: NDArray[np.float64]
    faces: list[NDArray[np.float32]]


def speak_clip(clip: Path, models: Models, networks: Networks, seed: int) -> Judged | None:
    """Judge one clip; None if it has no sound. A quiet second is put after its sound, to see the mouth close.

    Args:
        clip: A clip at 25 frames a second.
        models: The model.
        networks: What recognises faces.
        seed: Seed of the motion.

    Returns:
        `lip_figures` and `motion_figures`; mean change of the border from frame to frame in grey levels, and the real
        clip's; similarity of the identity with the source; `natural_figures` of the generated video and those of the
        real one ("real").
    """
    samples = sound_of(clip)
    if samples is None:
        return None
    truth = watch((frame.picture for frame in read_frames(clip)), networks)
    first = next(iter(read_frames(clip))).picture
    options = talkinghead.Options(motion=talkinghead.MotionOptions(seed=seed))
    with tempfile.TemporaryDirectory() as folder:
        voice = Path(folder) / "voice.wav"
        soundfile.write(voice, samples, MODEL_RATE)
        spoken = watch(iter(talkinghead.speak(first, voice, options=options, model=models)), networks)
    return judge_speech(spoken, truth, samples)


def sound_of(clip: Path) -> NDArray[np.float32] | None:
    """Return a clip's sound at 16 kHz with a quiet second after it, shape (N,); None if it has none."""
    with av.open(str(clip)) as container:
        if not container.streams.audio:
            return None
    return torch.cat([*stream_mono_16k(clip), torch.zeros(MODEL_RATE)]).numpy()


def judge_speech(spoken: Watched, truth: Watched, samples: NDArray[np.float32]) -> Judged | None:
    """Compare a generated video with the real one of the same speech; None if too few frames show both faces.

    Args:
        spoken: What was seen in the generated video.
        truth: What was seen in the real one.
        samples: The sound, 16 kHz, shape (N,).

    Returns:
        As `speak_clip`.
    """
    pairs = enumerate(zip(spoken.points, truth.points, strict=False))
    both = [n for n, (mine, real) in pairs if mine is not None and real is not None]
    if len(both) < metrics.MIN_FRAMES:
        return None
    mine, real = (
        np.stack([points for n in both if (points := each.points[n]) is not None]) for each in (spoken, truth)
    )
    seen = {n: points for n, points in enumerate(spoken.points) if points is not None}
    quiet, loudness = silence(samples), frame_loudness(samples)
    figures = lip_figures(mine, real) | motion_figures(np.stack(list(seen.values())), quiet[list(seen)])
    figures |= {"border change": float(np.mean(spoken.border)), "real border": float(np.mean(truth.border))}
    if truth.faces and spoken.faces:
        figures["identity"] = float(np.mean([identity_similarity(truth.faces[0], each) for each in spoken.faces]))
    for name, points, watched in (("", mine, spoken), (REAL, real, truth)):
        natural = natural_figures(points, quiet[both], loudness[both], watched.detail[both])
        figures |= {name + measure: value for measure, value in natural.items()}
    return Judged(clip=figures)


def watch(pictures: Iterator[Picture], networks: Networks) -> Watched:
    """Find the landmarks of each picture of a video, how much its border changes, and how much detail its face has."""
    shown, extracted, described = tee(pictures, 3)
    points: list[Points | None] = []
    border: list[float] = []
    detail: list[tuple[float, float]] = []
    faces: list[NDArray[np.float32]] = []
    for number, (found, change, picture) in enumerate(
        zip(tracked(shown), border_changes(extracted), described, strict=True)
    ):
        points.append(found)
        border.append(change)
        detail.append((np.nan, np.nan) if found is None else face_detail(picture, found))
        if found is not None and networks.recogniser and number % DESCRIBED == 0:
            faces.append(networks.recogniser.describe(picture, found))
    return Watched(points, border, np.array(detail, float), faces)


def face_detail(picture: Picture, points: Points) -> tuple[float, float]:
    """Measure the fine detail of the face at 256 pixels, and in the box around its mouth there."""
    place = frame_face(points, FACE_CROP)
    face = cut(picture, place)
    return sharpness(face), sharpness(face[metrics.mouth_box(place.points_to_crop(points), face.shape)])


def tracked(pictures: Iterator[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32] | None]:
    """Find the landmarks of each picture of a video."""
    yield from FaceTracker().follow(pictures)


def lip_figures(mine: NDArray[np.float32], real: NDArray[np.float32]) -> dict[str, float]:
    """Compare lip curves of generated and real landmarks, (T, 478, 3) each."""
    opening = metrics.lip_opening(mine), metrics.lip_opening(real)
    lags = metrics.lip_lags(*opening)
    lag = max(lags, key=lambda lag: lags[lag])
    return {
        "correlation": lags[0],
        "at best lag": lags[lag],
        "width corr": metrics.lip_lags(metrics.lip_width(mine), metrics.lip_width(real))[0],
        "lag": lag,
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


def frame_loudness(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the root mean square of each frame of 16 kHz sound, shape (frames,)."""
    import librosa  # its first use compiles code for half a minute, which is why `speak` itself does without it

    whole = np.pad(samples, (0, -len(samples) % FRAME_SAMPLES))
    return librosa.feature.rms(y=whole, frame_length=FRAME_SAMPLES, hop_length=FRAME_SAMPLES, center=False)[0]


def silence(samples: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell which frames of 16 kHz sound lie in silence: quiet themselves and all around."""
    import librosa

    level = librosa.amplitude_to_db(frame_loudness(samples), amin=1e-5, top_db=None)
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
