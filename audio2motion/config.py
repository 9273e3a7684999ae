"""Architecture of the audio-to-motion model: numbers only, stored as config.json beside the weights."""

from __future__ import annotations

from dataclasses import dataclass, field

SAMPLE_RATE = 16_000
FRAME_RATE = 25
FRAME_SAMPLES = SAMPLE_RATE // FRAME_RATE
FEATURE_SAMPLES = 320  # wav2vec 2.0 and HuBERT give one state for every 320 samples


@dataclass(frozen=True)
class EncoderConfig:
    """The speech encoder: a small Wav2Vec2Model of our own, or a published one.

    Attributes:
        checkpoint: Directory or hub name of a Wav2Vec2, HuBERT, WavLM or XLS-R model; then only the next two count.
        layer: Transformer layers of a checkpoint that are used, the first ones; None for all.
        frozen: Whether training leaves a checkpoint as it is; otherwise all but its convolutions learn.
        conv_dim: Channels of the convolutions over samples.
        conv_kernel: Their kernels.
        conv_stride: Their strides; the product is 320.
        hidden_size: Width of the transformer.
        num_layers: Its depth.
        num_heads: Its attention heads.
        feed_forward_size: Width inside its blocks.
        position_kernel: Kernel of the convolution that tells positions apart.
        dropout: Dropout while training.
    """

    checkpoint: str | None = None
    layer: int | None = None
    frozen: bool = False
    conv_dim: tuple[int, ...] = (320, 256)
    conv_kernel: tuple[int, ...] = (400, 4)
    conv_stride: tuple[int, ...] = (160, 2)
    hidden_size: int = 192
    num_layers: int = 3
    num_heads: int = 4
    feed_forward_size: int = 512
    position_kernel: int = 17
    dropout: float = 0.1


@dataclass(frozen=True)
class RecogniserConfig:
    """The phoneme recogniser beside the encoder, of hama's size.

    Attributes:
        num_mels: Bands of the spectrum.
        size: Width of the states.
        num_layers: Conformer blocks.
        num_heads: Their attention heads.
        feed_forward_size: Width inside their feed-forward parts.
        kernel: Their convolution over time.
        dropout: Dropout while training.
    """

    num_mels: int = 80
    size: int = 144
    num_layers: int = 4
    num_heads: int = 4
    feed_forward_size: int = 576
    kernel: int = 31
    dropout: float = 0.1


@dataclass(frozen=True)
class AudioToMotionConfig:
    """The whole model.

    Attributes:
        encoder: The speech encoder.
        recogniser: The phoneme recogniser that listens beside it, if any.
        num_mouth: Mouth coefficients that the voice decides, the first of the expression basis.
        num_brows: Brow coefficients that liveliness samples, the rest of the basis.
        head_size: Width of the temporal head.
        head_dilations: Dilation of each of its convolution blocks.
        num_life_clips: Recordings of real head and brow tracks that the weights carry.
        num_life_frames: Their frames together.
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    recogniser: RecogniserConfig | None = None
    num_mouth: int = 16
    num_brows: int = 6
    head_size: int = 192
    head_dilations: tuple[int, ...] = (1, 2, 4)
    num_life_clips: int = 1
    num_life_frames: int = 200
