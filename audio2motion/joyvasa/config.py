"""Sizes of the motion generator, read from its checkpoint, and the rules of one generation."""

from __future__ import annotations

from dataclasses import dataclass

# The published networks always use these values, regardless of their training arguments.
NUM_HEADS = 8
MAX_STEPS = 500
MAX_FRAMES = 600
MOTION_SIZE = 70  # expression 63, scale 1, translation 3, pitch, yaw, roll; anything after it is ignored


@dataclass(frozen=True)
class HubertSizes:
    """Sizes of the speech encoder; strides, norms and head width are those of HuBERT base.

    Attributes:
        conv_dim: Channels of the convolutions over samples.
        conv_kernel: Their kernels.
        hidden_size: Width of the transformer.
        num_layers: Its depth.
        feed_forward_size: Width inside its blocks.
        position_kernel: Kernel size of the positional convolution.
        position_groups: Groups of the positional convolution.
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
    """Sizes of the motion generator; the defaults match the newest published file (v2).

    Attributes:
        motion_size: D, values per frame; the first 70 are used.
        num_frames: T, frames per window.
        num_previous: P, frames before a window that condition it.
        feature_size: Width of the denoiser and of the audio features.
        num_layers: Decoder layers of the denoiser.
        feed_forward_size: Width inside them.
        num_steps: Diffusion steps.
        constant_position: Whether the weights were trained with one position encoding for all frames.
        hubert: The speech encoder.
    """

    motion_size: int = 73
    num_frames: int = 100
    num_previous: int = 10
    feature_size: int = 256
    num_layers: int = 8
    feed_forward_size: int = 1024
    num_steps: int = 50
    constant_position: bool = False
    hubert: HubertSizes = HubertSizes()

    @property
    def most_overlap(self) -> int:
        """Largest overlap of windows: conditioning frames must be final, and no frame may lie in three windows."""
        return min(self.num_frames - self.num_previous, self.num_frames // 2)


@dataclass(frozen=True)
class GenerationRules:
    """Generation settings. `GenerationRules.upstream()` matches the published command line.

    Attributes:
        guidance: Classifier-free guidance scale; 1 means no guidance.
        num_steps: Steps of the fast deterministic sampler, usually 5 to 10; None for the full stochastic one.
        flexibility: Extra noise of the full sampler, 0 to 1.
        dynamic_threshold: (quantile, minimum, maximum) for clamping predictions to a quantile of their magnitude.
        overlap: Frames shared by neighbouring windows, which are cross-faded.
        smooth: Whether to smooth pose, scale and translation over time.
        constant_position: Whether all frames get one position encoding; None for what the weights were trained with.
        trim_lead: Whether to remove the two frames of silence that are put before the sound. They delay the motion by
            80 ms relative to the sound.
    """

    guidance: float = 2.8
    num_steps: int | None = None
    flexibility: float = 0.0
    dynamic_threshold: tuple[float, float, float] | None = None
    overlap: int = 0
    smooth: bool = True
    constant_position: bool | None = None
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
        """Return settings for everyday use: eight sampling steps and overlapping windows."""
        return cls(num_steps=min(8, config.num_steps), overlap=min(10, config.most_overlap))

    @classmethod
    def upstream(cls) -> GenerationRules:
        """Return the settings of the published command line, including its two frames of lead."""
        return cls(trim_lead=False)
