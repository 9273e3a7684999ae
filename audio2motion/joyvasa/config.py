"""Sizes of the motion generator, read from its checkpoint, and the rules of one generation."""

from __future__ import annotations

from dataclasses import dataclass

# The published networks are built with these whatever their training arguments say.
NUM_HEADS = 8
MAX_STEPS = 500
MAX_FRAMES = 600
MOTION_SIZE = 70  # expression 63, scale 1, shift 3, pitch, yaw, roll; anything after it is not read


@dataclass(frozen=True)
class HubertSizes:
    """Sizes of the speech encoder; its strides, norms and head width are those of every HuBERT base.

    Attributes:
        conv_dim: Channels of the convolutions over samples.
        conv_kernel: Their kernels.
        hidden_size: Width of the transformer.
        num_layers: Its depth.
        feed_forward_size: Width inside its blocks.
        position_kernel: Kernel of the convolution that tells positions apart.
        position_groups: Its groups.
    """

    conv_dim: tuple[int, ...] = (512,) * 7
    conv_kernel: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    hidden_size: int = 768
    num_layers: int = 12
    feed_forward_size: int = 3072
    position_kernel: int = 128
    position_groups: int = 16


@dataclass(frozen=True)
class JoyVASAConfig:
    """Sizes of the motion generator; the defaults are those of the newest published file (v2).

    Attributes:
        motion_size: D, numbers per frame; the first 70 are read.
        num_frames: Frames of a window.
        num_previous: P, frames before a window that it continues.
        feature_size: Width of the denoiser and of the audio features.
        num_layers: Decoder layers of the denoiser.
        feed_forward_size: Width inside them.
        num_steps: Diffusion steps.
        hubert: The speech encoder.
    """

    motion_size: int = 73
    num_frames: int = 100
    num_previous: int = 10
    feature_size: int = 256
    num_layers: int = 8
    feed_forward_size: int = 1024
    num_steps: int = 50
    hubert: HubertSizes = HubertSizes()

    @property
    def most_overlap(self) -> int:
        """Frames that neighbouring windows may share: what they continue is finished, and no frame lies in three."""
        return min(self.num_frames - self.num_previous, self.num_frames // 2)


@dataclass(frozen=True)
class GenerationRules:
    """How motion is generated. `GenerationRules.upstream()` is what the published command line does.

    Attributes:
        guidance: How far the voice is followed beyond the prediction without it; 1 is the plain prediction.
        num_steps: None for the full seeded sampler; else evaluations of the fast deterministic one, 5 to 10 usual.
        flexibility: Extra noise of the full sampler, 0 to 1.
        dynamic_threshold: (quantile, least, most): predictions are clamped to that quantile of their magnitude.
        overlap: Frames that neighbouring windows share; they fade into each other.
        smooth: Whether pose, scale and shift are averaged over time.
        trim_lead: Whether the two frames of silence put before the sound are taken off again. They shift the motion
            80 ms behind the sound that it was made from.
    """

    guidance: float = 2.8
    num_steps: int | None = None
    flexibility: float = 0.0
    dynamic_threshold: tuple[float, float, float] | None = None
    overlap: int = 0
    smooth: bool = True
    trim_lead: bool = True

    def __post_init__(self) -> None:
        if self.num_steps is not None and self.num_steps < 1:
            raise ValueError(f"num_steps is {self.num_steps}; the fast sampler needs at least 1")
        if not 0 <= self.flexibility <= 1:
            raise ValueError(f"flexibility is {self.flexibility}; it lies between 0 and 1")
        if self.overlap < 0:
            raise ValueError(f"overlap is {self.overlap} frames; it cannot be negative")

    @classmethod
    def quick(cls, config: JoyVASAConfig) -> GenerationRules:
        """Return the rules for everyday use: eight steps instead of all, and windows that fade into each other."""
        return cls(num_steps=min(8, config.num_steps), overlap=min(10, config.most_overlap))

    @classmethod
    def upstream(cls) -> GenerationRules:
        """Return the rules of the published command line, its two frames of lead included."""
        return cls(trim_lead=False)
