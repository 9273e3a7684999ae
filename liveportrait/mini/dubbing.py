"""Replace the speech of a talking face: close its mouth, then move it as another voice says, in the head frame."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from liveportrait.driving_rules import in_head_frame
from liveportrait.mini.face_model import FaceModel
from liveportrait.mini.regions import JAW, LIPS, rows
from liveportrait.mini.speech import speaking_face
from liveportrait.motion import Motion, SpeechMotion

QUIET_SECONDS = 0.5
"""Deviation of the window over which a mouth is averaged: longer than syllables, shorter than a smile."""

NOSE_BASE, CHIN = 2, 152


def quiet_mouths(face: FaceModel, motion: Motion, fps: float) -> Motion:
    """Close the lips of consecutive frames and average the shape of the closed mouth over time.

    The average keeps a smile, and loses how each syllable widens, rounds and shifts the mouth.

    Args:
        face: The face model.
        motion: T frames of one face.
        fps: Frames per second.

    Returns:
        T frames; their expression is that of the quiet face.
    """
    closed = face.close_lips(face.mean + in_head_frame(motion)) - face.mean
    averaged = _averaged(closed, QUIET_SECONDS * fps)
    return replace(motion, expression=averaged @ motion.rotation)


def dubbed_face(face: FaceModel, head: Tensor, quiet: Motion | None, speech_motion: SpeechMotion) -> Tensor:
    """Let a talking face say something else; eyes, brows, nose and the upper face stay.

    Args:
        face: The face model.
        head: Points of the talking face in the head frame, shape (T, K, 3).
        quiet: From `quiet_mouths`, T frames; None to close the lips as they are.
        speech_motion: T frames of speech motion.

    Returns:
        Points in the head frame, shape (T, K, 3).
    """
    share = mouth_share(face)
    rest = face.close_lips(head)
    if quiet is not None:
        rest = torch.lerp(rest, face.mean + in_head_frame(quiet), share)
    return torch.lerp(head, speaking_face(face, rest, speech_motion), share)


def mouth_share(face: FaceModel) -> Tensor:
    """Return how far each keypoint follows the voice, shape (K, 1): lips fully, the jaw from the nose down."""
    height = face.mean[:, 1:2]
    nose, chin = (height[rows((point,))] for point in (NOSE_BASE, CHIN))
    low = ((height - nose) / (chin - nose)).clamp(0, 1)
    share = torch.zeros_like(height)
    share[rows(JAW)] = (2 * low).clamp(max=1)[rows(JAW)]
    share[rows(LIPS)] = 1.0
    return share


def _averaged(points: Tensor, deviation: float) -> Tensor:
    """Average points (T, K, 3) over time with a Gaussian window; the ends are repeated."""
    reach = math.ceil(2.5 * deviation)
    steps = torch.arange(-reach, reach + 1).to(points)
    window = torch.exp(-0.5 * (steps / max(deviation, 1e-3)).square())
    series = points.flatten(1).T[:, None]
    padded = F.pad(series, (reach, reach), mode="replicate")
    return F.conv1d(padded, (window / window.sum())[None, None])[:, 0].T.view_as(points)
