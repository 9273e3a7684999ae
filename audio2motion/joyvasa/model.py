"""JoyVASA's motion generator: generate motion of the official networks from speech, window by window."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from audio2motion.config import FRAME_SAMPLES
from audio2motion.joyvasa.config import GenerationRules, JoyVASAConfig
from audio2motion.joyvasa.denoiser import Denoiser
from audio2motion.joyvasa.sampler import Noise, Predictor, clamp_to_quantile, cosine_schedule, fast_steps, full_steps
from audio2motion.joyvasa.speech_features import build_hubert, encode_speech
from audio2motion.joyvasa.template import MotionTemplate, PoseSmoother
from audio2motion.joyvasa.windows import LEAD_FRAMES, cut_windows, fade, plan_windows, stream_windows
from liveportrait.motion import Motion

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Context:
    """The conditions of a window's motion.

    Attributes:
        audio: Features of the window, shape (1, T, feature_size).
        previous_motion: Normalised motion before it, shape (1, P, D).
        previous_audio: Audio features before it, shape (1, P, feature_size).
    """

    audio: Tensor
    previous_motion: Tensor
    previous_audio: Tensor


class JoyVASA(nn.Module):
    """Diffusion over windows of motion, each of which continues the previous one.

    Attribute names match the checkpoint.

    Attributes:
        config: Sizes.
        template: Statistics of the motion.
        schedule: Noise per diffusion step.
        num_keypoints: K of the motion; it must match the animated model.

    Source: JoyVASA §3; upstream `src/modules/dit_talking_head.py`, DitTalkingHead.
    """

    num_keypoints = 21

    def __init__(self, config: JoyVASAConfig, template: MotionTemplate) -> None:
        super().__init__()
        self.config, self.template = config, template
        self.schedule = cosine_schedule(config.num_steps)
        self.audio_encoder = build_hubert(config.hubert)
        self.audio_feature_map = nn.Linear(config.hubert.hidden_size, config.feature_size)
        self.denoising_net = Denoiser(config)
        self.start_audio_feat = nn.Parameter(torch.randn(1, config.num_previous, config.feature_size))
        self.start_motion_feat = nn.Parameter(torch.randn(1, config.num_previous, config.motion_size))
        self.null_audio_feat = nn.Parameter(torch.randn(1, 1, config.feature_size))

    @torch.inference_mode()
    def forward(self, waveform: Tensor, *, seed: int = 0, rules: GenerationRules | None = None) -> Motion:
        """Generate motion for a recording.

        Args:
            waveform: 16 kHz mono in [-1, 1], shape (N,), N ≥ 1.
            seed: Random seed for all noise, the same on every device.
            rules: Generation settings.

        Returns:
            Motion at 25 fps for `DrivingRules.spoken`, on the CPU; K = 21.

        Raises:
            ValueError: The recording is empty or not one row, or the windows overlap too much.
        """
        rules = rules or GenerationRules()
        plan = plan_windows(len(_checked(waveform)), self.config.num_frames, self._overlap(rules), rules.trim_lead)
        generator = torch.Generator().manual_seed(seed)
        windows = cut_windows(waveform.float(), plan, self.config.num_frames)
        features = (self.encode_audio(window.to(self.null_audio_feat.device)) for window in windows)
        numbers = self.generate_normalized(features, _noise(generator), rules)
        pose = self.template.denormalize(numbers[0, : plan.end_frame].cpu())
        return (pose.smoothed() if rules.smooth else pose).motion()[plan.first_frame :]

    @torch.inference_mode()
    def stream(
        self, chunks: Iterable[Tensor], *, seed: int = 0, rules: GenerationRules | None = None
    ) -> Iterator[Motion]:
        """Generate motion for speech of any length in constant memory, in windows of four seconds.

        Args:
            chunks: 16 kHz mono in [-1, 1], float32, each of shape (N,), N ≥ 0. Chunk boundaries do not matter.
            seed: Random seed for all noise, the same on every device.
            rules: Generation settings, default `GenerationRules.quick`. The lead is always trimmed.

        Yields:
            Consecutive parts of the motion, together ⌈samples / 640⌉ frames.

        Raises:
            ValueError: A chunk is not one row of samples, or the windows overlap too much.
        """
        rules = rules or GenerationRules.quick(self.config)
        size, stride = self.config.num_frames, self.config.num_frames - self._overlap(rules)
        generator, samples, done = torch.Generator().manual_seed(seed), 0, 0

        def counted() -> Iterator[Tensor]:
            nonlocal samples
            for chunk in chunks:
                samples += len(_checked(chunk))
                yield chunk.float().cpu()

        features = (
            self.encode_audio(w.to(self.null_audio_feat.device)) for w in stream_windows(counted(), size, stride)
        )
        smooth = PoseSmoother() if rules.smooth else (lambda pose: pose)
        for numbers in self.generate_parts(features, _noise(generator), rules):
            # Before the last window, the sound is longer than the finished motion.
            end = LEAD_FRAMES + math.ceil(samples / FRAME_SAMPLES) - done
            if numbers.shape[1]:
                pose = smooth(self.template.denormalize(numbers[0].cpu()))
                part = pose.motion()[max(LEAD_FRAMES - done, 0) : max(end, 0)]
                done += numbers.shape[1]
                if len(part):
                    yield part

    def encode_audio(self, window: Tensor) -> Tensor:
        """Encode windows of audio (B, 640 T) to features (B, T, feature_size)."""
        return self.features(encode_speech(self.audio_encoder, window, self.config.num_frames))

    def features(self, states: Tensor) -> Tensor:
        """Project the encoder's states (B, T, hidden_size) to features of the denoiser, (B, T, feature_size)."""
        return self.audio_feature_map(states)

    def generate_normalized(self, features: Iterable[Tensor], noise: Noise, rules: GenerationRules) -> Tensor:
        """Generate normalised motion for consecutive windows.

        Args:
            features: Features of each window, shape (1, T, feature_size); neighbours share `rules.overlap` frames.
            noise: Noise source, called once for the initial noise of all windows, then by the sampler.
            rules: Generation settings.

        Returns:
            Shape (1, (windows - 1) (T - overlap) + T, D).
        """
        return torch.cat(list(self.generate_parts(features, noise, rules)), 1)

    def generate_parts(self, features: Iterable[Tensor], noise: Noise, rules: GenerationRules) -> Iterator[Tensor]:
        """Yield the result of `generate_normalized` in parts (1, n, D) once no later window can change them."""
        size, previous = self.config.num_frames, self.config.num_previous
        stride = size - self._overlap(rules)
        start = noise((1, size, self.config.motion_size)).to(self.null_audio_feat)
        before, before_audio, shared = self.start_motion_feat, self.start_audio_feat, start[:, :0]
        for audio in features:
            window = list(self.sample(Context(audio, before, before_audio), start, noise, rules))[-1]
            count = shared.shape[1]
            window = torch.cat([fade(shared, window[:, :count]), window[:, count:]], 1)
            yield window[:, :stride]
            before, before_audio = window[:, stride - previous : stride], audio[:, stride - previous : stride]
            shared = window[:, stride:]
        yield shared

    def sample(self, context: Context, start: Tensor, noise: Noise, rules: GenerationRules) -> Iterator[Tensor]:
        """Sample one window; yield the state (1, T, D) after each step. The last state is the sample."""
        predict = self._predictor(context, rules)
        if rules.num_steps is not None:
            return fast_steps(predict, self.schedule, start, rules.num_steps)
        return full_steps(predict, self.schedule, start, noise, rules.flexibility)

    def _predictor(self, context: Context, rules: GenerationRules) -> Predictor:
        """Return the denoiser with classifier-free guidance, computed in one batch of two."""
        audio = context.audio
        guided = rules.guidance != 1
        if guided:
            audio = torch.cat([self.null_audio_feat.expand_as(audio), audio])
        batch = len(audio)
        previous = [part.expand(batch, -1, -1) for part in (context.previous_motion, context.previous_audio)]

        def predict(x: Tensor, step: int) -> Tensor:
            steps = torch.full((batch,), step, device=x.device)
            frames = self.denoising_net(x.expand(batch, -1, -1), audio, *previous, steps, rules.constant_position)
            clean = frames[:, -x.shape[1] :]
            if rules.dynamic_threshold is not None:
                clean = clamp_to_quantile(clean, *rules.dynamic_threshold)
            if not guided:
                return clean
            unconditional, conditional = clean.chunk(2)
            return unconditional + rules.guidance * (conditional - unconditional)

        return predict

    def _overlap(self, rules: GenerationRules) -> int:
        most = self.config.most_overlap
        if rules.overlap > most:
            raise ValueError(
                f"windows of {self.config.num_frames} frames overlap by {most} at most, not {rules.overlap}"
            )
        return rules.overlap


def _noise(generator: torch.Generator) -> Noise:
    return lambda shape: torch.randn(shape, generator=generator, dtype=torch.float32)


def _checked(samples: Tensor) -> Tensor:
    if samples.ndim != 1 or not samples.is_floating_point():
        raise ValueError(f"expected samples of shape (N,) in float32, got {tuple(samples.shape)}")
    return samples
