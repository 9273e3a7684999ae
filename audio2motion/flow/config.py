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
        num_frames: T, frames per window.
        num_previous: P, frames before a window that condition it.
        overlap: Frames shared by neighbouring windows, which are cross-faded.
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
        """D, values per frame: expression 3 K, scale, translation 3, pitch, yaw, roll."""
        return 3 * self.num_keypoints + 7


@dataclass(frozen=True)
class FlowRules:
    """Sampling settings.

    Attributes:
        num_steps: Sampling steps per window; lip sync needs only a few.
        guidance: Classifier-free guidance scale; 1 means no guidance.
    """

    num_steps: int = 8
    guidance: float = 1.5
