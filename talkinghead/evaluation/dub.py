"""Dubbing: a clip gets another clip's voice; its new lips are compared with that clip's, and with its own old ones."""

from __future__ import annotations

import tempfile
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

import talkinghead
from audio2motion.config import FRAME_RATE
from liveportrait.mini.regions import JAW
from talkinghead.errors import VideoError
from talkinghead.evaluation import metrics
from talkinghead.evaluation.metrics import Curve, Picture, Points
from talkinghead.evaluation.speak import CLOSED, silence, tracked
from talkinghead.media.audio import MODEL_RATE, stream_mono_16k
from talkinghead.media.playback import play
from talkinghead.media.video import read_frames
from talkinghead.models import Models
from talkinghead.source.dubbed import DubbedVideo

NOSE_BRIDGE = 168
BOX_MARGIN = 0.25  # of the larger side of the box around the lower face
STEADY_SIDE = 96  # pixels; side of the mouths whose flicker is compared
BEST_PSNR = 99.0


def dub_clip(source: Path, voice: Path, seconds: float, models: Models, seed: int) -> dict[str, float] | None:
    """Judge one clip; None if one of the clips shows too few faces. A quiet second is put after the voice.

    Args:
        source: The clip that is dubbed.
        voice: A clip of somebody else, at 25 frames a second.
        seconds: How much of the voice is used.
        models: The loaded networks.
        seed: Seed of the motion.

    Returns:
        Correlation of the new lip opening with that of the voice's speaker and with the source's old one, and of these
        two with each other (chance); the spread of the new opening over the speaker's; share of silent frames with
        closed lips; the lowest PSNR of a frame outside the box around the lower face; flicker of the mouth box over
        the source's.
    """
    samples = torch.cat(list(stream_mono_16k(voice)))[: round(seconds * MODEL_RATE)]
    samples = torch.cat([samples, torch.zeros(MODEL_RATE)]).numpy()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "voice.wav"
        soundfile.write(file, samples, MODEL_RATE)
        options = talkinghead.Options(motion=talkinghead.MotionOptions(seed=seed))
        video = talkinghead.speak(source, file, options=options, model=models)
        dubbed = list(video)
    face = video.source
    if not isinstance(face, DubbedVideo):
        raise VideoError(f"{source}: this is a picture; give a folder of videos")
    order = list(face.order)
    before = list(play(face.source.file, order))
    old, new = face.track.points[order], list(tracked(iter(dubbed)))
    speaker = list(tracked(frame.picture for frame in islice(read_frames(voice), round(seconds * FRAME_RATE))))
    times = (np.arange(len(order)) / float(video.fps)).astype(np.float32)
    seen = np.array([points is not None for points in new]) & (face.track.share[order] == 1)
    spoken, known = _opening_at(speaker, times)
    both = seen & known
    if both.sum() < metrics.MIN_FRAMES:
        return None
    opening = np.array([0 if points is None else metrics.lip_opening(points) for points in new], np.float32)
    quiet = silence(samples)[np.minimum((times * FRAME_RATE).astype(int), len(samples) // 640 - 1)] & seen
    own = metrics.lip_opening(old)
    return {
        "r new voice": _r(opening[both], spoken[both]),
        "r old lips": _r(opening[both], own[both]),
        "chance": _r(spoken[both], own[both]),
        "amplitude": float(opening[both].std() / spoken[both].std()),
        "silent frames": int(quiet.sum()),
        "closed": float((opening[quiet] < CLOSED).mean()) if quiet.any() else float("nan"),
        "outside dB": min(_psnr_outside(*each) for each in zip(before, dubbed, old, strict=True)),
        "flicker": _flicker(dubbed, old) / _flicker(before, old),
    }


def _opening_at(speaker: list[Points | None], times: Curve) -> tuple[Curve, NDArray[np.bool_]]:
    """Return the speaker's lip opening at times in seconds, and at which of them it is known."""
    found = [n for n, points in enumerate(speaker) if points is not None]
    if not found:
        return np.zeros_like(times), np.zeros(len(times), bool)
    curve = metrics.lip_opening(np.stack([points for points in speaker if points is not None]))
    return np.interp(times * FRAME_RATE, found, curve).astype(np.float32), times * FRAME_RATE <= found[-1]


def _r(a: Curve, b: Curve) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def lower_face_box(points: Points, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return rows and columns of the box around jaw and nose, with a margin.

    Args:
        points: Face-mesh landmarks in pixels, shape (478, 2 or 3).
        shape: Of the picture.
    """
    outline = points[[*JAW, NOSE_BRIDGE], :2]
    margin = BOX_MARGIN * np.ptp(outline, axis=0).max()
    left, top = np.maximum(outline.min(0) - margin, 0).astype(int)
    right, bottom = (outline.max(0) + margin + 1).astype(int)
    return slice(top, min(bottom, shape[0])), slice(left, min(right, shape[1]))


def _psnr_outside(before: Picture, after: Picture, points: Points) -> float:
    squared = np.square(before.astype(np.float32) - after)
    squared[lower_face_box(points, before.shape)] = np.nan
    error = np.nanmean(squared)
    return BEST_PSNR if error == 0 else min(BEST_PSNR, float(10 * np.log10(255**2 / error)))


def _flicker(pictures: list[Picture], points: Points) -> float:
    """Return the mean second difference over time of the mouth, held still by the skull, in grey levels."""
    mouths = np.stack([_steady_mouth(*each) for each in zip(pictures, points, strict=True)])
    return float(np.abs(mouths[2:] - 2 * mouths[1:-1] + mouths[:-2]).mean())


def _steady_mouth(picture: Picture, points: Points) -> NDArray[np.float32]:
    """Return the square below the eyes, as wide as they are apart from corner to corner, in the head's coordinates."""
    left, right = points[33, :2], points[263, :2]
    across = right - left
    down = np.array([-across[1], across[0]])
    corners = np.stack([left + 0.5 * down, right + 0.5 * down, left + 1.5 * down]).astype(np.float32)
    target = np.array([[0, 0], [STEADY_SIDE, 0], [0, STEADY_SIDE]], np.float32)
    matrix = cv2.getAffineTransform(corners, target)
    return cv2.warpAffine(picture, matrix, (STEADY_SIDE, STEADY_SIDE)).astype(np.float32)
