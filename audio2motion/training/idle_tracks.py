"""Cut head and brow tracks of real speakers, which idle motion plays back."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from audio2motion.config import FRAME_RATE
from audio2motion.training.speech_tracks import BROWS, SpeechTracks
from liveportrait.keypoints import euler_degrees
from liveportrait.mini.face_model import FaceModel, mirror_order
from liveportrait.mini.regions import rows
from liveportrait.training.loop import TrainingError

SHORTEST = 120  # frames a recording must have
LONGEST = 500  # frames taken from one recording, so that no person's habits prevail
TURN_DEG = 4.0  # deviation, over the three axes together, that wider recordings are brought down to
FURTHEST_DEG = 7.0
SHIFT = 0.04  # deviation of the head's place that wider recordings are brought down to, in half crops
BROW_SPREAD = 0.7


def idle_tracks(tracks: SpeechTracks) -> tuple[Tensor, Tensor]:
    """Collect recordings that may ship.

    Returns:
        Tracks, shape (F, 5 + brow coefficients): pitch, yaw, roll in degrees, shift right and down, brows, each
        recording about zero. Bounds, shape (recordings + 1,).
    """
    parts = []
    for clip in range(len(tracks)):
        start, end = tracks.offsets[clip], tracks.offsets[clip + 1]
        if tracks.permissive[clip] and end - start >= SHORTEST:
            parts.append(_recording(tracks, start, min(end, start + LONGEST)))
    if not parts:
        seconds = SHORTEST / FRAME_RATE
        raise TrainingError(f"no clip that may ship is {seconds:g} s long: there is no head motion to play; add clips")
    return torch.cat(parts), torch.tensor([0, *(len(part) for part in parts)]).cumsum(0)


def _recording(tracks: SpeechTracks, start: int, end: int) -> Tensor:
    frames = slice(start, end)
    turn = turns_deg(tracks.rotation[frames])
    shift = tracks.translation[frames, :2]
    brows = smooth(tracks.brows[frames], 2.0)
    turn, shift, brows = (value - value.mean(0) for value in (smooth(turn, 1.5), smooth(shift, 1.5), brows))
    calm = min(1.0, TURN_DEG / float(turn.var(0).sum().sqrt()))
    turn, shift = (turn * calm).clamp(-FURTHEST_DEG, FURTHEST_DEG), shift * calm
    shift = shift * min(1.0, SHIFT / float(shift.var(0).sum().sqrt()))
    brows = brows * min(1.0, BROW_SPREAD / float(brows.square().mean().sqrt()))
    return torch.cat([turn, shift, brows.clamp(-2, 2)], 1)


def turns_deg(rotation: Tensor) -> Tensor:
    """Return pitch, yaw and roll against the mean of a recording, (T, 3), from (T, 3, 3)."""
    u, _, vt = torch.linalg.svd(rotation.mean(0))
    return torch.stack(euler_degrees(rotation @ (u @ vt).T), 1)


def smooth(track: Tensor, sigma: float) -> Tensor:
    """Take the landmarks' jitter out of a track (T, C); sigma in frames."""
    reach = int(4 * sigma)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma).square())
    padded = F.pad(track.T[:, None], (reach, reach), mode="replicate")
    return F.conv1d(padded, (kernel / kernel.sum())[None, None])[:, 0].T


def mirror_signs(face: FaceModel) -> Tensor:
    """Find the signs that mirror a track, shape (5 + brow coefficients,): yaw, roll, shift right, one-sided brows."""
    brows = face.expression_basis[face.num_mouth :]
    mirrored = (brows * torch.tensor([-1.0, 1.0, 1.0]))[:, mirror_order(face.mean)]
    signs = torch.where((brows * mirrored).sum((1, 2)) < 0, -1.0, 1.0)
    return torch.cat([torch.tensor([1.0, -1.0, -1.0, -1.0, 1.0]), signs])


def brow_lift(face: FaceModel) -> Tensor:
    """Find the coefficients of size one that lift both brows most."""
    brows = face.expression_basis[face.num_mouth :]
    lift = -brows[:, rows(BROWS), 1].mean(1)
    return lift / lift.norm()
