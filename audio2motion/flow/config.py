"""Sizes of the trainable motion generator, stored as config.json beside its weights."""

from __future__ import annotations

from dataclasses import dataclass, field

from audio2motion.config import EncoderConfig


@dataclass(frozen=True)
class FlowConfig:
    """Architecture.

    Attributes:
        encoder: The speech encoder.
        num_keypoints: K of the motion.
        num_frames: T, frames of a window.
        num_previous: P, frames before a window that it continues.
        overlap: Frames that neighbouring windows share; they fade into each other.
        size: Width of the network.
        num_layers: Its depth.
        num_heads: Its attention heads.
        dropout: Dropout while training.
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    num_keypoints: int = 21
    num_frames: int = 60
    num_previous: int = 10
    overlap: int = 10
    size: int = 256
    num_layers: int = 6
    num_heads: int = 4
    dropout: float = 0.1

    @property
    def num_numbers(self) -> int:
        """D, numbers per frame: expression 3 K, scale, shift 3, pitch, yaw, roll."""
        return 3 * self.num_keypoints + 7


@dataclass(frozen=True)
class FlowRules:
    """How motion is sampled.

    Attributes:
        num_steps: Evaluations of the network for a window; few sync as well as many.
        guidance: How far the voice is followed beyond the prediction without it; 1 is the plain prediction.
    """

    num_steps: int = 8
    guidance: float = 1.5
