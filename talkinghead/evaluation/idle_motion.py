"""How drawn life compares with real life: spread, speed and spectrum of head, brows and gaze; blinks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from audio2motion.config import FRAME_RATE
from audio2motion.model import AudioToMotion
from audio2motion.training.idle_tracks import brow_lift, smooth, turns_deg
from audio2motion.training.speech_tracks import SpeechTracks
from liveportrait.keypoints import euler_degrees
from liveportrait.mini.face_model import FaceModel
from liveportrait.mini.gaze import EYEBALL_RADIUS

MOVES = ("pitch", "yaw", "roll", "brow lift", "gaze right", "gaze down")
"""Degrees, but the brows' lift, which is in deviations of the face model."""

WINDOW = 125  # frames in which spread and spectrum are taken, each about its own mean: real recordings are short
LONGEST = 500  # frames taken from one recording, so that no person's habits prevail
JITTER = 1.5  # frames over which drawn and real tracks are smoothed alike, because landmarks tremble
EDGES_HZ = (0.5, 1.0, 2.0)
BANDS = ("<0.5 Hz", "0.5-1", "1-2", ">2")
SEEDS = 20
SHUT, DEEP = 0.6, 0.3  # shares of the open eye below which lids blink, and shut for good
LONGEST_BLINK = 12  # frames; lids that stay down longer follow the gaze


@dataclass(frozen=True)
class IdleTrack:
    """One recording's life.

    Attributes:
        moves: What moves, in the order of MOVES, smoothed, shape (T, 6).
        eyes: Eye openness over that of the open eye, shape (T,).
    """

    moves: Tensor
    eyes: Tensor


def real_idle_motion(tracks: SpeechTracks, face: FaceModel) -> Iterator[IdleTrack]:
    """Yield the recordings that are long enough."""
    lift = brow_lift(face)
    for start, stop in pairwise(tracks.offsets):
        if stop - start < WINDOW:
            continue
        frames = slice(start, min(stop, start + LONGEST))
        gaze = torch.rad2deg((tracks.gaze[frames] / EYEBALL_RADIUS).clamp(-1, 1).asin())
        moves = [turns_deg(tracks.rotation[frames]), (tracks.brows[frames] @ lift)[:, None], gaze]
        eyes = tracks.eyes[frames]
        yield IdleTrack(smooth(torch.cat(moves, 1), JITTER), eyes / eyes.median())


def drawn_idle_motion(model: AudioToMotion, sound: Tensor) -> Iterator[IdleTrack]:
    """Yield what the model draws to a sound, seed by seed."""
    for seed in range(SEEDS):
        speech_motion = model.generate(sound, seed=seed)
        turn = torch.stack(euler_degrees(speech_motion.rotation), 1)
        lift = speech_motion.expression[:, model.config.num_mouth :] @ model.brow_lift
        moves = torch.cat([turn, lift[:, None], speech_motion.gaze_deg], 1)
        yield IdleTrack(smooth(moves, JITTER), speech_motion.eye_openness.mean(1))


def describe_idle_motion(drawn: Sequence[IdleTrack], real: Sequence[IdleTrack]) -> list[str]:
    """Lay both beside each other: a Markdown table of the moves, and a line each on blinks."""
    heads = ("windows of 5 s: drawn; real", "deviation (real quarters)", "speed a second", *BANDS)
    lines = [_row(heads), _row(["---"] * len(heads))]
    mine, theirs = moves_figures(drawn), moves_figures(real)
    for n, name in enumerate(MOVES):
        low, high = theirs.deviations[[0, 2], n].tolist()
        cells = [f"{mine.deviations[1, n]:.2f}; {theirs.deviations[1, n]:.2f} ({low:.2f} to {high:.2f})"]
        cells += [f"{mine.speed[n]:.1f}; {theirs.speed[n]:.1f}"]
        cells += [f"{a:.2f}; {b:.2f}" for a, b in zip(mine.shares[:, n], theirs.shares[:, n], strict=True)]
        lines.append(_row([name, *cells]))
    for title, tracks in (("drawn", drawn), ("real", real)):
        rate, milliseconds, deep = blink_figures(tracks)
        lines.append(
            f"blinks, {title}: {rate:.1f} a minute, {milliseconds:.0f} ms below {SHUT:.0%} of the open eye, "
            f"{deep:.0%} of them below {DEEP:.0%} ({len(tracks)} tracks, {_minutes(tracks):.1f} minutes)"
        )
    return lines


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


class MovesFigures(NamedTuple):
    """Spread and spectrum of the moves.

    Attributes:
        deviations: Lower quarter, median and upper quarter over windows, shape (3, moves).
        speed: Median over windows of the mean speed a second, shape (moves,).
        shares: Share of all windows' power in each band, shape (bands, moves).
    """

    deviations: Tensor
    speed: Tensor
    shares: Tensor


def moves_figures(tracks: Sequence[IdleTrack]) -> MovesFigures:
    """Measure the windows of all tracks, each about its own mean."""
    pieces = torch.cat([t.moves.unfold(0, WINDOW, WINDOW // 2) for t in tracks if len(t.moves) >= WINDOW])
    pieces = pieces - pieces.mean(-1, keepdim=True)
    deviations = pieces.square().mean(-1).sqrt().quantile(torch.tensor([0.25, 0.5, 0.75]), dim=0)
    speed = (pieces.diff(dim=-1).abs().mean(-1) * FRAME_RATE).quantile(0.5, dim=0)
    power = torch.fft.rfft(pieces * torch.hann_window(WINDOW, False)).abs().square().sum(0)
    band = torch.bucketize(torch.fft.rfftfreq(WINDOW, 1 / FRAME_RATE), torch.tensor(EDGES_HZ))
    shares = torch.stack([power[:, band == n].sum(1) for n in range(len(BANDS))]) / power.sum(1).clamp_min(1e-12)
    return MovesFigures(deviations, speed, shares)


def blink_figures(tracks: Sequence[IdleTrack]) -> tuple[float, float, float]:
    """Return blinks a minute, their mean length in milliseconds and the share that shut the eye deep."""
    lengths, depths = [], []
    for track in tracks:
        shut = torch.cat([torch.zeros(1), (track.eyes < SHUT).float(), torch.zeros(1)]).diff()
        for first, end in zip((shut > 0).nonzero()[:, 0], (shut < 0).nonzero()[:, 0], strict=True):
            if end - first <= LONGEST_BLINK:
                lengths.append(int(end - first))
                depths.append(float(track.eyes[first:end].min()) < DEEP)
    count = max(len(lengths), 1)
    return len(lengths) / _minutes(tracks), sum(lengths) / count / FRAME_RATE * 1000, sum(depths) / count


def _minutes(tracks: Sequence[IdleTrack]) -> float:
    return sum(len(track.eyes) for track in tracks) / FRAME_RATE / 60
