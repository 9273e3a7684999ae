"""AudioToMotion: a voice in, a performance for any face out, at 25 frames per second."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path

import torch
from torch import Tensor, nn

from audio2motion.config import AudioToMotionConfig
from audio2motion.idle import NUM_HEAD, IdleMotion
from audio2motion.network import SpeechToMouth
from audio2motion.silence import loudness_per_frame, speaking
from audio2motion.streaming import VoiceStream, checked
from audio2motion.windows import through_windows
from liveportrait.motion import SpeechMotion


class AudioToMotion(nn.Module):
    """Speech → lips, and a head that lives.

    Attributes:
        config: Architecture.
        num_keypoints: None: it performs for any face.
        mouth: The trained network.
        life_tracks: Real head and brow tracks, each recording about zero, shape (F, 5 + brow coefficients).
        life_bounds: First frame of each recording and the end, shape (recordings + 1,).
        life_mirror: Signs that turn a track into its mirror image, shape (5 + brow coefficients,).
        brow_lift: Coefficients of lifted brows, shape (brow coefficients,).
    """

    num_keypoints = None
    life_tracks: Tensor
    life_bounds: Tensor
    life_mirror: Tensor
    brow_lift: Tensor

    def __init__(self, config: AudioToMotionConfig) -> None:
        super().__init__()
        self.config = config
        self.mouth = SpeechToMouth(config)
        width = NUM_HEAD + config.num_brows
        bounds = torch.linspace(0, config.num_life_frames, config.num_life_clips + 1, dtype=torch.float32).long()
        self.register_buffer("life_tracks", torch.zeros(config.num_life_frames, width))
        self.register_buffer("life_bounds", bounds)
        self.register_buffer("life_mirror", torch.ones(width))
        self.register_buffer("brow_lift", torch.zeros(config.num_brows))

    @staticmethod
    def from_pretrained(name_or_directory: str | Path = "mini") -> AudioToMotion:
        """Load a model ready to listen.

        Args:
            name_or_directory: "mini" (embedded) or a directory with config.json and model.safetensors.

        Returns:
            The model in eval mode on the CPU, in float32.

        Raises:
            WeightsNotFoundError: There is no such model.
            WeightsError: A file is not what its name says.
        """
        from audio2motion.weights import load

        return load(name_or_directory).float()

    @torch.inference_mode()
    def stream(self, chunks: Iterable[Tensor], *, seed: int = 0) -> Iterator[SpeechMotion]:
        """Perform a voice of any length in constant memory.

        Args:
            chunks: 16 kHz mono in [-1, 1], float32, each of shape (N,), N ≥ 0. Where they are cut does not matter.
            seed: Decides head, brows, blinks and gaze.

        Yields:
            Consecutive parts of the performance: frame f belongs to samples 640 f … 640 f + 639; together
            ⌈samples / 640⌉ frames.

        Raises:
            ValueError: A chunk is not one row of floating-point samples.
        """
        idle = self._idle_motion(seed)
        for part in through_windows(map(checked, chunks), self._encode):
            yield self._generate(part, idle)

    def streaming(self, *, seed: int = 0) -> VoiceStream:
        """Begin to perform a voice while it is spoken, looking at most 200 ms ahead.

        Args:
            seed: Decides head, brows, blinks and gaze.

        Returns:
            A stream to push samples to. What it performs is near to what `stream` gives, which hears seconds ahead.
        """
        idle = self._idle_motion(seed)
        return VoiceStream(self._encode, lambda features: self._generate(features, idle))

    def generate(self, waveform: Tensor, *, seed: int = 0) -> SpeechMotion:
        """Perform a whole recording.

        Args:
            waveform: 16 kHz mono in [-1, 1], shape (N,), N ≥ 1.
            seed: Decides head, brows, blinks and gaze.

        Returns:
            ⌈N / 640⌉ frames, the same as `stream` gives.

        Raises:
            ValueError: The recording is empty or not one row of floating-point samples.
        """
        parts = list(self.stream([waveform], seed=seed))
        if not parts:
            raise ValueError("an empty recording has no frames to perform")
        names = [field.name for field in fields(SpeechMotion)]
        return SpeechMotion(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})

    forward = generate

    def _idle_motion(self, seed: int) -> IdleMotion:
        tracks, bounds = self.life_tracks.cpu(), self.life_bounds.cpu()
        return IdleMotion(tracks, bounds, self.life_mirror.cpu(), self.brow_lift.cpu(), seed)

    def _encode(self, window: Tensor) -> Tensor:
        """Hear one window (N,): mouth coefficients, silence obeyed, and loudness, (N / 640, C + 1)."""
        loudness = loudness_per_frame(window)
        device = self.life_tracks.device
        mouth = self.mouth.calibrate(self.mouth(window[None].to(device))[0]).float().cpu()
        return torch.cat([mouth * speaking(loudness)[:, None], loudness[:, None]], 1)

    def _generate(self, features: Tensor, idle: IdleMotion) -> SpeechMotion:
        mouth, idle_frames = features[:, :-1], idle.next(features[:, -1])
        return SpeechMotion(
            expression=torch.cat([mouth, idle_frames.brows], 1),
            lip_ratio=self.mouth.lip_ratio(mouth.to(self.life_tracks.device)).cpu(),
            eye_openness=idle_frames.eye_openness,
            gaze_deg=idle_frames.gaze_deg,
            rotation=idle_frames.rotation,
            translation=idle_frames.translation,
        )
