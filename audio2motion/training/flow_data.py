"""Training batches for the motion generator: windows of motion with audio, preceding motion, noise and time."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional as F

from audio2motion.config import FRAME_SAMPLES
from audio2motion.loudness import gain, voice_level
from audio2motion.training.augmentation import augment

_MOST_ROWS = 1 << 16


@dataclass(frozen=True)
class MotionClips:
    """Concatenated clips to draw windows from.

    Attributes:
        waveform: int16, 16 kHz, shape (640 · frames,).
        numbers: Motion as values, shape (frames, D); see `audio2motion.flow.codec`.
        bounds: First frame and end (exclusive) of each clip.
        speakers: Speaker index of each clip, from zero.
    """

    waveform: Tensor
    numbers: Tensor
    bounds: list[tuple[int, int]]
    speakers: list[int]


@dataclass(frozen=True)
class FlowBatch:
    """The input of one training step.

    Attributes:
        waveform: Audio of the frames before and in the window, shape (B, 640 (P + T)).
        clean: Motion as values, shape (B, T, D).
        previous: Motion before it, shape (B, P, D).
        continues: Whether a row has preceding motion, shape (B,).
        known: Frames that count, shape (B, T).
        noise: Standard normal, shape (B, T, D).
        time: From 0 (noise) to 1 (clean motion), shape (B,).
        has_voice: Whether a row is conditioned on its voice, shape (B,).
    """

    waveform: Tensor
    clean: Tensor
    previous: Tensor
    continues: Tensor
    known: Tensor
    noise: Tensor
    time: Tensor
    has_voice: Tensor

    def to(self, device: torch.device | str) -> FlowBatch:
        """Move to a device."""
        return FlowBatch(*(getattr(self, field.name).to(device) for field in fields(self)))


class FlowSampler:
    """Draws rows, determined by seed, step and row, independently of the number of machines.

    Args:
        clips: Clips to draw from.
        num_frames: T.
        num_previous: P.
        seed: Random seed.
        balance: Exponent of a speaker's duration in its sampling weight; 0 draws all equally often.
        voice_dropout: Share of rows without voice features.
        previous_dropout: Share of rows without preceding motion.
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
        sound = augment(sound * gain(voice_level(sound)), random)
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
