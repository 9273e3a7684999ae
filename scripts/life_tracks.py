"""Cut head and brow tracks of real speakers, from which liveliness is played back."""

from __future__ import annotations

from itertools import pairwise

import torch
from fit_face_model import mirror_order
from speech_tracks import BROWS, SpeechTracks
from torch import Tensor
from torch.nn import functional as F

from audio2motion.config import FRAME_RATE
from audio2motion.model import AudioToMotion
from liveportrait.keypoints import euler_degrees
from liveportrait.mini.face_model import FaceModel
from liveportrait.mini.regions import rows

SHORTEST = 120  # frames a recording must have
LONGEST = 500  # frames taken from one recording, so that no person's habits prevail
TURN_DEG = 4.0  # deviation, over the three axes together, that wider recordings are brought down to
FURTHEST_DEG = 7.0
SHIFT = 0.04  # deviation of the head's place that wider recordings are brought down to, in half crops
BROW_SPREAD = 0.7


def life_tracks(tracks: SpeechTracks) -> tuple[Tensor, Tensor]:
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
        raise SystemExit(f"no clip that may ship is {seconds:g} s long: there is no head motion to play; add footage")
    return torch.cat(parts), torch.tensor([0, *(len(part) for part in parts)]).cumsum(0)


def _recording(tracks: SpeechTracks, start: int, end: int) -> Tensor:
    frames = slice(start, end)
    u, _, vt = torch.linalg.svd(tracks.rotation[frames].mean(0))
    turn = torch.stack(euler_degrees(tracks.rotation[frames] @ (u @ vt).T), 1)
    shift = tracks.translation[frames, :2]
    brows = _smooth(tracks.brows[frames], 2.0)
    turn, shift, brows = (value - value.mean(0) for value in (_smooth(turn, 1.5), _smooth(shift, 1.5), brows))
    calm = min(1.0, TURN_DEG / float(turn.var(0).sum().sqrt()))
    turn, shift = (turn * calm).clamp(-FURTHEST_DEG, FURTHEST_DEG), shift * calm
    shift = shift * min(1.0, SHIFT / float(shift.var(0).sum().sqrt()))
    brows = brows * min(1.0, BROW_SPREAD / float(brows.square().mean().sqrt()))
    return torch.cat([turn, shift, brows.clamp(-2, 2)], 1)


def _smooth(track: Tensor, sigma: float) -> Tensor:
    """Take the landmarks' jitter out of a track (T, C)."""
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


def describe_life(model: AudioToMotion, sound: Tensor) -> list[str]:
    """Compare drawn life with the real tracks, a line each: head spread and tempo, blinks, gaze."""
    performance = model.perform(sound)
    minutes = len(performance) / FRAME_RATE / 60
    drawn = torch.stack(euler_degrees(performance.rotation), 1)
    bounds = model.life_bounds.tolist()
    real = [model.life_tracks[a:b, :3] for a, b in pairwise(bounds)]
    shut = performance.eye_openness[:, 0] < 0.5
    blinks = int((shut[1:] & ~shut[:-1]).sum())
    spreads = [part.std(0) for part in real]
    return [
        f"head deviation (pitch, yaw, roll): {_numbers(drawn.std(0))} degrees; real {_numbers(torch.cat(real).std(0))}",
        f"  single recordings: {_numbers(torch.stack(spreads).amin(0))} to {_numbers(torch.stack(spreads).amax(0))}",
        f"head speed: {_numbers(_speed(drawn))} degrees per second; real {_numbers(_speed(*real))}",
        f"share of movement faster than 1 Hz: {_fast_share(drawn):.2f}; real {_fast_share(*real):.2f}",
        f"head shift (right, down): {_numbers(performance.translation[:, :2].std(0), 3)} half crops",
        f"blinks: {blinks / minutes:.1f} per minute; gaze deviation {_numbers(performance.gaze_deg.std(0))} degrees",
    ]


def _numbers(values: Tensor, digits: int = 2) -> str:
    return " ".join(f"{value:.{digits}f}" for value in values.tolist())


def _speed(*tracks: Tensor) -> Tensor:
    return torch.cat([track.diff(dim=0).abs() for track in tracks]).mean(0) * FRAME_RATE


def _fast_share(*tracks: Tensor, window: int = 120) -> float:
    """Return the share of the movement's power above 1 Hz, in windows of about five seconds."""
    pieces = torch.cat([track.unfold(0, window, window // 2) for track in tracks if len(track) >= window])
    pieces = (pieces - pieces.mean(-1, keepdim=True)) * torch.hann_window(window)
    power = torch.fft.rfft(pieces).abs().square().sum((0, 1))
    return float(power[torch.fft.rfftfreq(window, 1 / FRAME_RATE) > 1.0].sum() / power.sum())
