"""Training batches: windows of speech with their mouth coefficients, balanced by speaker and augmented."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional as F

from audio2motion.config import FEATURE_SAMPLES, FRAME_SAMPLES
from audio2motion.loudness import gain, voice_level
from audio2motion.training.augmentation import augment, hiss, integer, uniform

SEAM = 3  # frames on either side of a cut between clips that are masked out
SPEEDS = (0.82, 1.22)
SILENT_SHARE = 0.04
STATES_PER_FRAME = FRAME_SAMPLES // FEATURE_SAMPLES


@dataclass(frozen=True)
class Batch:
    """The input of one training step.

    Attributes:
        waveform: Shape (B, 640 T), float32, at the common level.
        clean: The same before it was augmented.
        mouth: Mouth coefficients, shape (B, T, C).
        known: Mask of frames with valid coefficients, shape (B, T).
        speaker: Index of the speaker, shape (B,).
        phonemes: Phoneme probabilities per 320 samples, blank first, shape (B, 2 T, P); zero where unknown.
    """

    waveform: Tensor
    clean: Tensor
    mouth: Tensor
    known: Tensor
    speaker: Tensor
    phonemes: Tensor

    def to(self, device: torch.device | str) -> Batch:
        """Move to a device."""
        return Batch(*(getattr(self, field.name).to(device) for field in fields(self)))


@dataclass(frozen=True)
class SpeechClips:
    """Clips to draw windows from.

    Attributes:
        waveform: int16, shape (640 · frames,).
        mouth: Mouth coefficients, shape (frames, C).
        bounds: First frame and end (exclusive) of each clip.
        speakers: Speaker index of each clip, from zero.
        delays: Delay of each clip's lips relative to its sound, in frames; may be a fraction, or negative.
        phonemes: Phoneme probabilities per 320 samples, blank first, shape (2 · frames, P); P may be zero.
    """

    waveform: Tensor
    mouth: Tensor
    bounds: list[tuple[int, int]]
    speakers: list[int]
    delays: list[float]
    phonemes: Tensor

    @property
    def num_speakers(self) -> int:
        """Number of speakers."""
        return max(self.speakers) + 1

    def clips_of(self) -> list[list[int]]:
        """List the clips of each speaker."""
        clips: list[list[int]] = [[] for _ in range(self.num_speakers)]
        for clip, speaker in enumerate(self.speakers):
            clips[speaker].append(clip)
        return clips

    def speaker_weights(self, power: float) -> Tensor:
        """Return the sampling weight of each speaker: its duration to the given power."""
        frames = torch.zeros(self.num_speakers)
        for (start, end), speaker in zip(self.bounds, self.speakers, strict=True):
            frames[speaker] += end - start
        return frames**power


class BatchSampler:
    """Draws batches, determined by seed and step.

    Args:
        clips: Clips to draw from.
        num_frames: T, frames per window.
        batch_size: B.
        seed: Random seed.
        balance: Exponent of a speaker's duration in its sampling weight; 0 draws all equally often.
        augmented: Share of windows whose sound is changed.
    """

    def __init__(
        self,
        clips: SpeechClips,
        num_frames: int,
        batch_size: int,
        seed: int,
        balance: float = 0.5,
        augmented: float = 1.0,
    ) -> None:
        self.clips, self.num_frames, self.batch_size, self.seed = clips, num_frames, batch_size, seed
        self.augmented = augmented
        self.clips_of = clips.clips_of()
        self.weights = clips.speaker_weights(balance)

    def batch(self, step: int) -> Batch:
        """Draw the batch of a training step."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        speakers = torch.multinomial(self.weights, self.batch_size, replacement=True, generator=generator)
        windows = [self._window(int(speaker), generator) for speaker in speakers]
        sound, clean, mouth, known, phonemes = (torch.stack(part) for part in zip(*windows, strict=True))
        return Batch(sound, clean, mouth, known, speakers, phonemes)

    def _window(self, speaker: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        num_frames = self.num_frames
        sound, mouth, known, phonemes = self.read(speaker, int(num_frames * uniform(generator, *SPEEDS)) + 1, generator)
        sound = _stretch(sound[:, None], num_frames * FRAME_SAMPLES)[:, 0]
        mouth, phonemes = _stretch(mouth, num_frames), _stretch(phonemes, num_frames * STATES_PER_FRAME)
        known = _stretch(known[:, None], num_frames)[:, 0] > 0.999
        clean = sound * gain(voice_level(sound))
        if uniform(generator) < SILENT_SHARE:
            noise = hiss(len(sound), uniform(generator, -80, -45), generator)
            return noise, noise, torch.zeros_like(mouth), torch.ones_like(known), torch.zeros_like(phonemes)
        heard = augment(clean, generator) if uniform(generator) < self.augmented else clean
        return heard, clean, mouth, known, phonemes

    def read(self, speaker: int, num_frames: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Read sound, mouth, mask and phonemes of one speaker, joining several clips if one is too short."""
        parts: list[tuple[Tensor, ...]] = []
        missing = num_frames
        while missing > 0:
            choice = self.clips_of[speaker][integer(generator, len(self.clips_of[speaker]))]
            (start, end), delay = self.clips.bounds[choice], self.clips.delays[choice]
            start, end = start + max(0, math.ceil(delay)), end - max(0, math.ceil(-delay))  # frames that have sound
            first = start + integer(generator, max(end - start - missing, 0) + 1)
            last = min(end, first + missing)
            missing -= last - first
            parts.append(self._cut(first, last, delay))
        return tuple(torch.cat(part) for part in zip(*parts, strict=True))

    def _cut(self, first: int, last: int, delay: float) -> tuple[Tensor, ...]:
        """Cut frames of lips, and the sound that they belong to."""
        known = torch.ones(last - first)
        known[:SEAM] = 0
        known[-SEAM:] = 0
        sound = self._from(self.clips.waveform, (first - delay) * FRAME_SAMPLES, (last - first) * FRAME_SAMPLES)
        states = (last - first) * STATES_PER_FRAME
        phonemes = self._from(self.clips.phonemes, (first - delay) * STATES_PER_FRAME, states)
        return sound.float() / 32768, self.clips.mouth[first:last], known, phonemes.float()

    @staticmethod
    def _from(signal: Tensor, start: float, count: int) -> Tensor:
        return signal[round(start) : round(start) + count]


def _stretch(signal: Tensor, length: int) -> Tensor:
    """Resample a signal (N, C) to `length` steps."""
    if signal.shape[1] == 0:
        return signal.new_zeros(length, 0)
    return F.interpolate(signal.T[None], size=length, mode="linear", align_corners=False)[0].T
