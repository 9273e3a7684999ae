"""The motion generator: a voice in, motion of the official networks out, window by window."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from audio2motion.config import FRAME_SAMPLES
from audio2motion.joyvasa.config import GenerationRules, JoyVASAConfig
from audio2motion.joyvasa.denoiser import Denoiser
from audio2motion.joyvasa.sampler import Noise, Predictor, clamp_to_quantile, cosine_schedule, fast_steps, full_steps
from audio2motion.joyvasa.speech_features import build_hubert, hear
from audio2motion.joyvasa.template import MotionTemplate, PoseSmoother
from audio2motion.joyvasa.windows import LEAD_FRAMES, cut_windows, fade, plan_windows, stream_windows
from liveportrait.motion import Motion

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Context:
    """What a window's motion depends on.

    Attributes:
        audio: Features of the window, shape (1, T, feature_size).
        previous_motion: Normalised motion before it, shape (1, P, D).
        previous_audio: Features before it, shape (1, P, feature_size).
    """

    audio: Tensor
    previous_motion: Tensor
    previous_audio: Tensor


class JoyVASA(nn.Module):
    """Diffusion over windows of motion, each continuing the one before. Attribute names are the checkpoint's.

    Attributes:
        config: Sizes.
        template: Statistics of the motion.
        schedule: Noise per diffusion step.
        num_keypoints: K of the motion; only models with as many can follow it.

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

    @classmethod
    def from_pretrained(cls, name_or_directory: str | Path = "joyvasa") -> JoyVASA:
        """Load the published files: "joyvasa" fetches them once, a directory holds them already.

        Raises:
            WeightsNotFoundError: A file is missing, or cannot be fetched.
            WeightsError: A file is not what it should be.
        """
        from audio2motion.joyvasa.weights import download, load

        return load(download(logger.warning) if name_or_directory == "joyvasa" else Path(name_or_directory)).float()

    @torch.inference_mode()
    def forward(self, waveform: Tensor, *, seed: int = 0, rules: GenerationRules | None = None) -> Motion:
        """Generate motion for a recording.

        Args:
            waveform: 16 kHz mono in [-1, 1], shape (N,), N ≥ 1.
            seed: Decides all noise, on every device alike.
            rules: How to generate.

        Returns:
            Motion at 25 fps for `liveportrait.compose.compose_audio`, on the CPU; K = 21.

        Raises:
            ValueError: The recording is empty or not one row, or the windows overlap too much.
        """
        rules = rules or GenerationRules()
        plan = plan_windows(len(_checked(waveform)), self.config.num_frames, self._overlap(rules), rules.trim_lead)
        generator = torch.Generator().manual_seed(seed)
        windows = cut_windows(waveform.float(), plan, self.config.num_frames)
        features = (self.hear(window.to(self.null_audio_feat.device)) for window in windows)
        numbers = self.move(features, _noise(generator), rules)
        pose = self.template.denormalize(numbers[0, : plan.end_frame].cpu())
        return (pose.smoothed() if rules.smooth else pose).motion()[plan.first_frame :]

    @torch.inference_mode()
    def stream(
        self, chunks: Iterable[Tensor], *, seed: int = 0, rules: GenerationRules | None = None
    ) -> Iterator[Motion]:
        """Generate motion for a voice of any length in constant memory, a window of four seconds at a time.

        Args:
            chunks: 16 kHz mono in [-1, 1], float32, each of shape (N,), N ≥ 0. Where they are cut does not matter.
            seed: Decides all noise, on every device alike.
            rules: How to generate; `GenerationRules.quick` unless given. The lead is always trimmed.

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

        features = (self.hear(w.to(self.null_audio_feat.device)) for w in stream_windows(counted(), size, stride))
        smooth = PoseSmoother() if rules.smooth else (lambda pose: pose)
        for numbers in self.finished(features, _noise(generator), rules):
            # While windows follow, the sound is known to be longer than what is finished.
            end = LEAD_FRAMES + math.ceil(samples / FRAME_SAMPLES) - done
            if numbers.shape[1]:
                pose = smooth(self.template.denormalize(numbers[0].cpu()))
                part = pose.motion()[max(LEAD_FRAMES - done, 0) : max(end, 0)]
                done += numbers.shape[1]
                if len(part):
                    yield part

    def hear(self, window: Tensor) -> Tensor:
        """Encode windows of sound (B, 640 T) as features (B, T, feature_size)."""
        return self.features(hear(self.audio_encoder, window, self.config.num_frames))

    def features(self, states: Tensor) -> Tensor:
        """Map the encoder's states (B, T, hidden_size) to what the denoiser hears, (B, T, feature_size)."""
        return self.audio_feature_map(states)

    def move(self, features: Iterable[Tensor], noise: Noise, rules: GenerationRules) -> Tensor:
        """Generate normalised motion for consecutive windows.

        Args:
            features: Of each window, shape (1, T, feature_size); neighbours share `rules.overlap` frames.
            noise: Asked once for the noise that every window starts from, then as the sampler goes.
            rules: How to generate.

        Returns:
            Shape (1, (windows - 1) (T - overlap) + T, D).
        """
        return torch.cat(list(self.finished(features, noise, rules)), 1)

    def finished(self, features: Iterable[Tensor], noise: Noise, rules: GenerationRules) -> Iterator[Tensor]:
        """Generate as `move` does, and yield consecutive parts (1, n, D) as soon as no later window changes them."""
        size, previous = self.config.num_frames, self.config.num_previous
        stride = size - self._overlap(rules)
        start = noise((1, size, self.config.motion_size)).to(self.null_audio_feat)
        before, heard, shared = self.start_motion_feat, self.start_audio_feat, start[:, :0]
        for audio in features:
            window = list(self.sample(Context(audio, before, heard), start, noise, rules))[-1]
            count = shared.shape[1]
            window = torch.cat([fade(shared, window[:, :count]), window[:, count:]], 1)
            yield window[:, :stride]
            before, heard = window[:, stride - previous : stride], audio[:, stride - previous : stride]
            shared = window[:, stride:]
        yield shared

    def sample(self, context: Context, start: Tensor, noise: Noise, rules: GenerationRules) -> Iterator[Tensor]:
        """Sample one window; yields the state (1, T, D) after each step, the last one being the sample."""
        predict = self._predictor(context, rules)
        if rules.num_steps is not None:
            return fast_steps(predict, self.schedule, start, rules.num_steps)
        return full_steps(predict, self.schedule, start, noise, rules.flexibility)

    def _predictor(self, context: Context, rules: GenerationRules) -> Predictor:
        """Predict with guidance: without the voice and with it in one batch."""
        audio = context.audio
        guided = rules.guidance != 1
        if guided:
            audio = torch.cat([self.null_audio_feat.expand_as(audio), audio])
        batch = len(audio)
        previous = [part.expand(batch, -1, -1) for part in (context.previous_motion, context.previous_audio)]

        def predict(x: Tensor, step: int) -> Tensor:
            steps = torch.full((batch,), step, device=x.device)
            clean = self.denoising_net(x.expand(batch, -1, -1), audio, *previous, steps)[:, -x.shape[1] :]
            if rules.dynamic_threshold is not None:
                clean = clamp_to_quantile(clean, *rules.dynamic_threshold)
            if not guided:
                return clean
            deaf, hearing = clean.chunk(2)
            return deaf + rules.guidance * (hearing - deaf)

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
