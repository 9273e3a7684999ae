"""MotionFlow: a voice in, motion of the official networks out, trained on your own footage."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from audio2motion.config import FRAME_RATE, FRAME_SAMPLES
from audio2motion.encoder import SpeechEncoder
from audio2motion.flow.codec import MotionCodec, to_motion
from audio2motion.flow.config import FlowConfig, FlowRules
from audio2motion.flow.network import FlowNetwork
from audio2motion.joyvasa.windows import fade, stream_windows
from audio2motion.loudness import RELEASE_DB_PER_SECOND, gain, voice_level
from audio2motion.streaming import checked
from liveportrait.motion import Motion


class MotionFlow(nn.Module):
    """Flow matching over windows of motion, each continuing the one before.

    Attributes:
        config: Architecture.
        codec: Statistics of the motion.
        num_keypoints: K of the motion; only models with as many can follow it.

    Source: Lipman et al. 2023; the network predicts the clean motion instead of the velocity, which jitters less.
    """

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        self.config, self.num_keypoints = config, config.num_keypoints
        self.encoder = SpeechEncoder(config.encoder)
        # Kernel 4, stride 2: frame f sees states 2 f - 1 … 2 f + 2, centred between its own two.
        self.to_frames = nn.Conv1d(self.encoder.size, config.size, 4, stride=2, padding=1)
        self.network = FlowNetwork(config)
        self.codec = MotionCodec(config.num_numbers)

    @staticmethod
    def from_pretrained(directory: str | Path) -> MotionFlow:
        """Load a trained model from its directory; see `audio2motion.flow.weights.load`."""
        from audio2motion.flow.weights import load

        return load(Path(directory)).float()

    def hear(self, waveform: Tensor) -> Tensor:
        """Encode sound at the common level, (B, 640 T), as features of the frames, (B, T, size)."""
        return self.to_frames(self.encoder(waveform).transpose(1, 2)).transpose(1, 2)

    def sample(self, voice: Tensor, previous: Tensor, noise: Tensor, rules: FlowRules) -> Tensor:
        """Sample one window by Euler steps along the estimated flow.

        Args:
            voice: Features, shape (1, P + T, size).
            previous: Normalised motion before it, shape (1, P, D).
            noise: Where to start, shape (1, T, D).
            rules: How to sample.

        Returns:
            Normalised motion, shape (1, T, D).
        """
        x = noise
        for step in range(rules.num_steps):
            now, then = step / rules.num_steps, (step + 1) / rules.num_steps
            x = x + (then - now) / (1 - now) * (self._estimate(x, now, voice, previous, rules.guidance) - x)
        return x

    def _estimate(self, x: Tensor, time: float, voice: Tensor, previous: Tensor, guidance: float) -> Tensor:
        """Estimate the clean motion with guidance: without the voice and with it in one batch."""
        if guidance == 1:
            return self.network(x, x.new_full((1,), time), voice, previous)
        both = torch.cat([self.network.unheard.expand_as(voice), voice])
        deaf, hearing = self.network(x.expand(2, -1, -1), x.new_full((2,), time), both, previous.expand(2, -1, -1))
        return (deaf + guidance * (hearing - deaf))[None]

    @torch.inference_mode()
    def stream(self, chunks: Iterable[Tensor], *, seed: int = 0, rules: FlowRules | None = None) -> Iterator[Motion]:
        """Generate motion for a voice of any length in constant memory.

        Args:
            chunks: 16 kHz mono in [-1, 1], float32, each of shape (N,), N ≥ 0. Where they are cut does not matter.
            seed: Decides all noise, on every device alike.
            rules: How to sample.

        Yields:
            Consecutive parts of the motion, together ⌈samples / 640⌉ frames.

        Raises:
            ValueError: A chunk is not one row of samples.
        """
        config, rules = self.config, rules or FlowRules()
        generator, samples, left = torch.Generator().manual_seed(seed), 0, 0

        def counted() -> Iterator[Tensor]:
            nonlocal samples
            for chunk in map(checked, chunks):
                samples += len(chunk)
                yield chunk

        frames, stride = config.num_previous + config.num_frames, config.num_frames - config.overlap
        windows = stream_windows(counted(), frames, stride, config.num_previous)
        done = 0
        for numbers in self._finished(self._levelled(windows, stride), generator, rules):
            left = math.ceil(samples / FRAME_SAMPLES) - done  # no less than these while windows follow
            done += len(numbers)
            if left > 0 and len(numbers):
                yield to_motion(numbers[:left])

    def _levelled(self, windows: Iterable[Tensor], stride: int) -> Iterator[Tensor]:
        """Bring windows (1, N) to the common level, remembering how loud the voice was."""
        level = -torch.inf
        for window in windows:
            level = max(float(voice_level(window[0])), level - RELEASE_DB_PER_SECOND * stride / FRAME_RATE)
            yield window * gain(level)

    def _finished(self, windows: Iterable[Tensor], generator: torch.Generator, rules: FlowRules) -> Iterator[Tensor]:
        """Sample window after window; yields numbers (n, D) on the CPU as soon as no later window changes them."""
        config = self.config
        stride, shared = config.num_frames - config.overlap, None
        previous = self.network.start
        for window in windows:
            noise = torch.randn(1, config.num_frames, config.num_numbers, generator=generator, dtype=torch.float32)
            x = self.sample(self.hear(window.to(previous.device)), previous, noise.to(previous.device), rules)
            if shared is not None:
                x = torch.cat([fade(shared, x[:, : config.overlap]), x[:, config.overlap :]], 1)
            yield self.codec.decode(x[0, :stride]).cpu()
            previous, shared = x[:, stride - config.num_previous : stride], x[:, stride:]
        if shared is not None:
            yield self.codec.decode(shared[0]).cpu()
