"""MotionFlow: generate motion of the official networks from speech, trained on your own footage."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

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
    """Flow matching over windows of motion, each of which continues the previous one.

    Attributes:
        config: Architecture.
        codec: Statistics of the motion.
        num_keypoints: K of the motion; it must match the animated model.

    Source: Lipman et al. 2023; the network predicts the clean motion instead of the velocity, which jitters less.
    """

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        self.config, self.num_keypoints = config, config.num_keypoints
        self.encoder = SpeechEncoder(config.encoder)
        # Kernel 4, stride 2: frame f covers states 2 f - 1 … 2 f + 2, centred on its own two.
        self.to_frames = nn.Conv1d(self.encoder.size, config.size, 4, stride=2, padding=1)
        self.network = FlowNetwork(config)
        self.codec = MotionCodec(config.num_numbers)

    def encode_audio(self, waveform: Tensor) -> Tensor:
        """Encode audio at the common level, (B, 640 T), to features per frame, (B, T, size)."""
        return self.to_frames(self.encoder(waveform).transpose(1, 2)).transpose(1, 2)

    def sample(self, voice: Tensor, previous: Tensor, noise: Tensor, rules: FlowRules) -> Tensor:
        """Sample one window with Euler steps along the estimated flow.

        Args:
            voice: Features, shape (1, P + T, size).
            previous: Normalised motion before it, shape (1, P, D).
            noise: Initial noise, shape (1, T, D).
            rules: Sampling settings.

        Returns:
            Normalised motion, shape (1, T, D).
        """
        x = noise
        for step in range(rules.num_steps):
            now, then = step / rules.num_steps, (step + 1) / rules.num_steps
            x = x + (then - now) / (1 - now) * (self._estimate(x, now, voice, previous, rules.guidance) - x)
        return x

    def _estimate(self, x: Tensor, time: float, voice: Tensor, previous: Tensor, guidance: float) -> Tensor:
        """Estimate the clean motion with classifier-free guidance, in one batch of two."""
        if guidance == 1:
            return self.network(x, x.new_full((1,), time), voice, previous)
        both = torch.cat([self.network.unheard.expand_as(voice), voice])
        unconditional, conditional = self.network(
            x.expand(2, -1, -1), x.new_full((2,), time), both, previous.expand(2, -1, -1)
        )
        return (unconditional + guidance * (conditional - unconditional))[None]

    @torch.inference_mode()
    def stream(self, chunks: Iterable[Tensor], *, seed: int = 0, rules: FlowRules | None = None) -> Iterator[Motion]:
        """Generate motion for speech of any length in constant memory.

        Args:
            chunks: 16 kHz mono in [-1, 1], float32, each of shape (N,), N ≥ 0. Chunk boundaries do not matter.
            seed: Random seed for all noise, the same on every device.
            rules: Sampling settings.

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
        for numbers in self._generate_parts(self._levelled(windows, stride), generator, rules):
            left = math.ceil(samples / FRAME_SAMPLES) - done  # a lower bound until the last window
            done += len(numbers)
            if left > 0 and len(numbers):
                yield to_motion(numbers[:left])

    def _levelled(self, windows: Iterable[Tensor], stride: int) -> Iterator[Tensor]:
        """Scale windows (1, N) to the common level, tracking the level of the voice."""
        level = -torch.inf
        for window in windows:
            level = max(float(voice_level(window[0])), level - RELEASE_DB_PER_SECOND * stride / FRAME_RATE)
            yield window * gain(level)

    def _generate_parts(
        self, windows: Iterable[Tensor], generator: torch.Generator, rules: FlowRules
    ) -> Iterator[Tensor]:
        """Sample the windows in order; yield values (n, D) on the CPU once no later window can change them."""
        config = self.config
        stride, shared = config.num_frames - config.overlap, None
        previous = self.network.start
        for window in windows:
            noise = torch.randn(1, config.num_frames, config.num_numbers, generator=generator, dtype=torch.float32)
            x = self.sample(self.encode_audio(window.to(previous.device)), previous, noise.to(previous.device), rules)
            if shared is not None:
                x = torch.cat([fade(shared, x[:, : config.overlap]), x[:, config.overlap :]], 1)
            yield self.codec.decode(x[0, :stride]).cpu()
            previous, shared = x[:, stride - config.num_previous : stride], x[:, stride:]
        if shared is not None:
            yield self.codec.decode(shared[0]).cpu()
