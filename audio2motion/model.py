"""AudioToMotion: generate motion for any face from speech, at 25 frames per second."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audio2motion.config import FRAME_SAMPLES, AudioToMotionConfig
from audio2motion.idle import NUM_HEAD, IdleMotion
from audio2motion.live import LiveMotion
from audio2motion.network import SpeechToMouth
from audio2motion.silence import close_in_silence, loudness_per_frame
from audio2motion.streaming import WINDOW, VoiceStream, checked
from audio2motion.weights import load
from audio2motion.windows import through_windows
from liveportrait.motion import SpeechMotion

LIP_DELAY = 160
"""Samples (10 ms) by which lips follow what the network hears, chosen on people whom it never met."""


class AudioToMotion(nn.Module):
    """Lip motion from speech, with idle motion of head, eyebrows and eyes.

    Attributes:
        config: Architecture.
        num_keypoints: None, since the motion fits any face.
        num_mouth: Number of expression coefficients that move the mouth; they come first.
        mouth: Network that predicts mouth coefficients.
        life_tracks: Recorded head and eyebrow tracks, each centred on zero, shape (F, 5 + brow coefficients).
        life_bounds: First frame of each recording and the end, shape (recordings + 1,).
        life_mirror: Signs that mirror a track, shape (5 + brow coefficients,).
        brow_lift: Coefficients of raised eyebrows, shape (brow coefficients,).
    """

    num_keypoints = None
    life_tracks: Tensor
    life_bounds: Tensor
    life_mirror: Tensor
    brow_lift: Tensor

    def __init__(self, config: AudioToMotionConfig) -> None:
        super().__init__()
        self.config, self.num_mouth = config, config.num_mouth
        self.mouth = SpeechToMouth(config)
        width = NUM_HEAD + config.num_brows
        bounds = [n * config.num_life_frames // config.num_life_clips for n in range(config.num_life_clips + 1)]
        self.register_buffer("life_tracks", torch.zeros(config.num_life_frames, width))
        self.register_buffer("life_bounds", torch.tensor(bounds))
        self.register_buffer("life_mirror", torch.ones(width))
        self.register_buffer("brow_lift", torch.zeros(config.num_brows))

    @staticmethod
    def from_pretrained(name_or_directory: str | Path = "mini") -> AudioToMotion:
        """Load a model.

        Args:
            name_or_directory: "mini" (embedded) or a directory with config.json and model.safetensors.

        Returns:
            The model in eval mode on the CPU, in float32.

        Raises:
            WeightsNotFoundError: There is no such model.
            WeightsError: A file is not what its name says.
        """
        return load(AudioToMotion, name_or_directory).float()

    @torch.inference_mode()
    def stream(self, chunks: Iterable[Tensor], *, seed: int = 0) -> Iterator[SpeechMotion]:
        """Generate motion for speech of any length in constant memory.

        Args:
            chunks: 16 kHz mono in [-1, 1], float32, each of shape (N,), N ≥ 0. Chunk boundaries do not matter.
            seed: Random seed for head, eyebrows, blinks and gaze.

        Yields:
            Consecutive parts of the motion, ⌈samples / 640⌉ frames in total. Frame f belongs to samples 640 f …
            640 f + 639.

        Raises:
            ValueError: A chunk is not a one-dimensional floating-point tensor.
        """
        idle = self._idle_motion(seed)
        for part in through_windows(map(checked, chunks), partial(self._encode, keep_pauses=True)):
            yield self._generate(part, idle)

    def compile_graphs(self) -> None:
        """Compile the network's graph, which would otherwise be compiled for the first sound.

        Raises:
            WeightsError: The file is not a graph.
        """
        if self.mouth.graph is not None and self.life_tracks.device.type == "cpu":
            self.mouth.graph.compile(torch.float32)

    def streaming(self, *, seed: int = 0) -> VoiceStream[SpeechMotion]:
        """Generate motion while speech is arriving, with at most 200 ms of look-ahead.

        Args:
            seed: Random seed for head, eyebrows, blinks and gaze.

        Returns:
            A stream to push samples to. Its motion is close to that of `stream`, which looks seconds ahead, but lips
            close in short pauses too.
        """
        idle = self._idle_motion(seed)
        return VoiceStream(self._encode, lambda features: self._generate(features, idle))

    def listen(self) -> VoiceStream[Tensor]:
        """Encode speech while it is arriving, for `LiveMotion.speak`.

        Returns:
            A stream to push samples to, which returns features of shape (T, C + 1): mouth coefficients and loudness.
        """
        return VoiceStream(self._encode, lambda features: features)

    @torch.inference_mode()
    def live(self, *, seed: int = 0) -> LiveMotion:
        """Begin motion that goes on between turns of speech, frame by frame.

        Args:
            seed: Random seed for head, eyebrows, blinks and gaze.
        """
        idle = self._idle_motion(seed)
        rest = self._encode(torch.zeros(WINDOW * FRAME_SAMPLES, dtype=torch.float32))[-1:]
        return LiveMotion(rest, lambda features: self._generate(features, idle))

    def generate(self, waveform: Tensor, *, seed: int = 0) -> SpeechMotion:
        """Generate motion for a whole recording.

        Args:
            waveform: 16 kHz mono in [-1, 1], shape (N,), N ≥ 1.
            seed: Random seed for head, eyebrows, blinks and gaze.

        Returns:
            ⌈N / 640⌉ frames, the same as from `stream`.

        Raises:
            ValueError: The recording is empty or not a one-dimensional floating-point tensor.
        """
        parts = list(self.stream([waveform], seed=seed))
        if not parts:
            raise ValueError("an empty recording has no frames")
        return SpeechMotion.cat(parts)

    forward = generate

    def _idle_motion(self, seed: int) -> IdleMotion:
        tracks, bounds = self.life_tracks.cpu(), self.life_bounds.cpu()
        return IdleMotion(tracks, bounds, self.life_mirror.cpu(), self.brow_lift.cpu(), seed)

    def _encode(self, window: Tensor, *, keep_pauses: bool = False) -> Tensor:
        """Compute mouth coefficients and loudness of one window (N,), shape (N / 640, C + 1).

        Coefficients are moved to rest in silence, see `close_in_silence`.
        """
        loudness = loudness_per_frame(window)
        heard = F.pad(window, (LIP_DELAY, -LIP_DELAY))[None].to(self.life_tracks.device)
        mouth = self.mouth.calibrate(self.mouth(heard)[0]).float().cpu()
        return torch.cat([close_in_silence(mouth, loudness, keep_pauses=keep_pauses), loudness[:, None]], 1)

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
