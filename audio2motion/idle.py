"""Idle motion, which is independent of the words: random head and eyebrow motion, blinks and gaze."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch import Tensor

from audio2motion.config import FRAME_RATE
from audio2motion.eyes import Blinks, Glances
from liveportrait.keypoints import rotation_matrix

NUM_HEAD = 5  # pitch, yaw, roll in degrees; shift right and down in units of half the crop
SHORTEST, LONGEST = 70, 190  # frames of one segment of a recorded track
FADE = 30  # frames of the cross-fade between segments
VOICED_DB = -42.0
STRESS_DB = 8.0
NOD_DEG = 1.1
BROW_LIFT = 0.25
SPREAD = 1.5
"""Factor on the tracks, which were attenuated when they were extracted; it restores a natural amplitude."""
FURTHEST = (10.0, 10.0, 10.0, 0.15, 0.15)
"""Limits of the head motion in degrees and half crops; beyond about 15 degrees the rendering degrades."""
FURTHEST_BROWS = 3.0
FOLLOWED = 0.6  # share of a head rotation that the eyes counteract to keep looking at the viewer


@dataclass(frozen=True)
class IdleFrames:
    """Frames of idle motion; see `liveportrait.SpeechMotion` for units.

    Attributes:
        brows: Shape (T, brow coefficients).
        eye_openness: Shape (T, 2).
        gaze_deg: Shape (T, 2).
        rotation: Shape (T, 3, 3).
        translation: Shape (T, 3).
    """

    brows: Tensor
    eye_openness: Tensor
    gaze_deg: Tensor
    rotation: Tensor
    translation: Tensor


def facing_deg(rotation: Tensor) -> Tensor:
    """Return the facing direction of head rotations (T, 3, 3), degrees right and down in the picture, (T, 2)."""
    return torch.rad2deg(torch.asin((-rotation[:, 2, :2]).clamp(-1, 1)))


def amplify(track: Tensor) -> Tensor:
    """Scale a frame of a track (5 + brow coefficients,), with soft limits."""
    furthest = torch.tensor([*FURTHEST, *[FURTHEST_BROWS] * (len(track) - NUM_HEAD)], dtype=torch.float32)
    return furthest * torch.tanh(SPREAD * track / furthest)


class TrackPlayer:
    """Plays random segments of recorded head and eyebrow tracks, possibly mirrored, with cross-fades.

    Args:
        tracks: Shape (F, 5 + brow coefficients), each recording centred on zero.
        bounds: First frame of each recording and the end, shape (recordings + 1,).
        mirror: Signs that mirror a track, shape (5 + brow coefficients,).
        seed: Random seed.
    """

    def __init__(self, tracks: Tensor, bounds: Tensor, mirror: Tensor, seed: str) -> None:
        self._tracks, self._bounds, self._mirror = tracks, bounds.tolist(), mirror
        self._random = random.Random(seed)
        self._current = torch.zeros(FADE, tracks.shape[1], dtype=torch.float32)  # start at rest
        self._next = self._draw()
        self._row = 0

    def _draw(self) -> Tensor:
        lengths = [end - start for start, end in zip(self._bounds[:-1], self._bounds[1:], strict=True)]
        which = self._random.choices(range(len(lengths)), lengths)[0]
        length = min(self._random.randint(SHORTEST, LONGEST), lengths[which])
        first = self._bounds[which] + self._random.randint(0, lengths[which] - length)
        segment = self._tracks[first : first + length]
        return segment * self._mirror if self._random.random() < 0.5 else segment

    def next(self) -> Tensor:
        """Return the next frame, shape (5 + brow coefficients,)."""
        left = len(self._current) - self._row
        if left <= 0:
            self._current, self._row, self._next = self._next, FADE, self._draw()
            left = len(self._current) - self._row
        value = self._current[self._row]
        if left <= FADE:
            share = (FADE - left + 0.5) / FADE
            value = torch.lerp(value, self._next[FADE - left], share * share * (3 - 2 * share))
        self._row += 1
        return value


class VoiceActivity:
    """Tracks voice activity and stress."""

    def __init__(self) -> None:
        self.activity = 0.0
        self._slow_db, self._push, self.stress = VOICED_DB, 0.0, 0.0

    def update(self, loudness_db: float) -> None:
        """Process the loudness of one frame in decibels at the common level."""
        voiced = loudness_db > VOICED_DB
        self.activity += (float(voiced) - self.activity) / (0.8 * FRAME_RATE)
        above = max(0.0, min(1.5, (loudness_db - self._slow_db - 3.0) / STRESS_DB)) if voiced else 0.0
        self._slow_db += (max(loudness_db, VOICED_DB) - self._slow_db) / (1.2 * FRAME_RATE)
        self._push += (above - self._push) / 4.0
        self.stress += (self._push - self.stress) / 4.0


class IdleMotion:
    """Idle motion of any length, determined by its seed.

    Args:
        tracks: Recorded head and eyebrow tracks, see `TrackPlayer`.
        bounds: Their bounds.
        mirror: Their mirror signs.
        lift: Coefficients of raised eyebrows, shape (brow coefficients,).
        seed: Random seed.
    """

    def __init__(self, tracks: Tensor, bounds: Tensor, mirror: Tensor, lift: Tensor, seed: int) -> None:
        self._player = TrackPlayer(tracks, bounds, mirror, f"{seed} head")
        self._blinks, self._glances = Blinks(f"{seed} blinks"), Glances(f"{seed} glances")
        self._lift, self._voice = lift, VoiceActivity()

    def next(self, loudness: Tensor) -> IdleFrames:
        """Generate the next T frames.

        Args:
            loudness: Decibels at the common level, shape (T,), T ≥ 1.
        """
        frames, eyes = zip(*(self._frame(db) for db in loudness.tolist()), strict=True)
        track, eye = torch.stack(frames), torch.tensor(eyes, dtype=torch.float32)
        rotation = rotation_matrix(track[:, 0], track[:, 1], track[:, 2])
        return IdleFrames(
            brows=track[:, NUM_HEAD:],
            eye_openness=eye[:, :1].expand(-1, 2).contiguous(),
            gaze_deg=eye[:, 1:] - FOLLOWED * facing_deg(rotation),
            rotation=rotation,
            translation=torch.nn.functional.pad(track[:, 3:NUM_HEAD], (0, 1)),
        )

    def _frame(self, loudness_db: float) -> tuple[Tensor, tuple[float, float, float]]:
        self._voice.update(loudness_db)
        activity, stress = self._voice.activity, self._voice.stress
        track = amplify(self._player.next()) * (0.6 + 0.4 * activity)
        track[0] += NOD_DEG * stress
        track[NUM_HEAD:] += BROW_LIFT * stress * self._lift
        right, down, jumped = self._glances.next()
        return track, (self._blinks.next(1.0 - activity, jumped), right, down)
