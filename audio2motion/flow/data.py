"""Training batches for the motion generator: windows of motion with their voice, what came before, noise and time."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional as F

from audio2motion.config import FRAME_SAMPLES
from audio2motion.data import disturb
from audio2motion.loudness import gain, voice_level

_MOST_ROWS = 1 << 16


@dataclass(frozen=True)
class MotionClips:
    """Clips to draw windows from, one after the other.

    Attributes:
        waveform: int16, 16 kHz, shape (640 · frames,).
        numbers: Motion as numbers, shape (frames, D); see `audio2motion.flow.codec`.
        bounds: First and one-past-last frame of each clip.
        speakers: Number of each clip's speaker, counted from zero.
    """

    waveform: Tensor
    numbers: Tensor
    bounds: list[tuple[int, int]]
    speakers: list[int]


@dataclass(frozen=True)
class FlowBatch:
    """What one training step sees.

    Attributes:
        waveform: Sound of the frames before the window and of its own, shape (B, 640 (P + T)).
        clean: Motion as numbers, shape (B, T, D).
        previous: Motion before it, shape (B, P, D).
        continues: Whether a row has motion before it, shape (B,).
        known: Frames that count, shape (B, T).
        noise: Standard normal, shape (B, T, D).
        time: From 0, all noise, to 1, shape (B,).
        heard: Whether a row hears its voice, shape (B,).
    """

    waveform: Tensor
    clean: Tensor
    previous: Tensor
    continues: Tensor
    known: Tensor
    noise: Tensor
    time: Tensor
    heard: Tensor

    def to(self, device: torch.device | str) -> FlowBatch:
        """Move to a device."""
        return FlowBatch(*(getattr(self, field.name).to(device) for field in fields(self)))


class FlowSampler:
    """Draws rows; the same seed, step and row give the same one, however many machines share a step.

    Args:
        clips: What to draw from.
        num_frames: T.
        num_previous: P.
        seed: Start of all randomness.
        balance: Power of a speaker's time that decides how often it is drawn; 0 draws all alike.
        voice_dropout: Share of rows that do not hear their voice.
        previous_dropout: Share of rows that do not know what came before.
    """

    def __init__(
        self,
        clips: MotionClips,
        num_frames: int,
        num_previous: int,
        seed: int,
        balance: float,
        voice_dropout: float,
        previous_dropout: float,
    ) -> None:
        self.clips, self.num_frames, self.num_previous, self.seed = clips, num_frames, num_previous, seed
        self.voice_dropout, self.previous_dropout = voice_dropout, previous_dropout
        lengths = torch.tensor([float(end - start) for start, end in clips.bounds])
        total = torch.zeros(max(clips.speakers) + 1).index_add_(0, torch.tensor(clips.speakers), lengths)
        self.weights = lengths * total[clips.speakers] ** (balance - 1)

    def batch(self, step: int, rows: range) -> FlowBatch:
        """Draw some rows of a training step."""
        drawn = [self._row(step, row) for row in rows]
        return FlowBatch(*(torch.stack(part) for part in zip(*drawn, strict=True)))

    def _row(self, step: int, row: int) -> tuple[Tensor, ...]:
        random = torch.Generator().manual_seed((self.seed * 1_000_003 + step) * _MOST_ROWS + row)
        start, end = self.clips.bounds[int(torch.multinomial(self.weights, 1, generator=random))]
        first = start + int(torch.randint(max(end - start - self.num_frames, 0) + 1, (), generator=random))
        known = min(self.num_frames, end - first)
        before = min(self.num_previous, first - start)
        sound = self.clips.waveform[(first - before) * FRAME_SAMPLES : (first + known) * FRAME_SAMPLES].float() / 32768
        sound = disturb(sound * gain(voice_level(sound)), random)
        missing = self.num_previous - before, self.num_frames - known
        sound = F.pad(sound, tuple(count * FRAME_SAMPLES for count in missing))
        clean = self.clips.numbers[first : first + known]
        clean = torch.cat([clean, clean[-1:].expand(missing[1], -1)])
        previous = F.pad(self.clips.numbers[first - before : first], (0, 0, missing[0], 0))
        chance = torch.rand(3, generator=random)
        continues = torch.tensor(missing[0] == 0) & (chance[0] >= self.previous_dropout)
        noise = torch.randn(clean.shape, generator=random)
        inside = torch.arange(self.num_frames) < known
        return sound, clean, previous, continues, inside, noise, chance[1], chance[2] >= self.voice_dropout
