"""Architecture of the audio-to-motion model, stored as config.json beside the weights."""

from __future__ import annotations

from dataclasses import dataclass, field

SAMPLE_RATE = 16_000
FRAME_RATE = 25
FRAME_SAMPLES = SAMPLE_RATE // FRAME_RATE
FEATURE_SAMPLES = 320  # wav2vec 2.0 and HuBERT return one state per 320 samples


@dataclass(frozen=True)
class EncoderConfig:
    """The speech encoder: a small Wav2Vec2Model trained from scratch, or a pretrained checkpoint.

    Attributes:
        checkpoint: Directory or hub name of a Wav2Vec2, HuBERT, WavLM or XLS-R model; of the other settings only
            `layer` and `frozen` apply to it.
        layer: Number of transformer layers to keep from a checkpoint; None keeps all.
        frozen: Whether to keep its weights; otherwise all are trained, except the convolutions of a checkpoint.
        conv_dim: Channels of the convolutions over samples.
        conv_kernel: Kernel sizes.
        conv_stride: Strides; their product is 320.
        hidden_size: Width of the transformer.
        num_layers: Depth of the transformer.
        num_heads: Attention heads.
        feed_forward_size: Width of the feed-forward layers.
        position_kernel: Kernel size of the positional convolution.
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
    """The speech recogniser that listens beside the speech encoder; defaults are those of Whisper base.

    Attributes:
        num_mels: Mel bands.
        size: Width of the states.
        num_layers: Transformer layers.
        num_heads: Attention heads.
        feed_forward_size: Width of the feed-forward layers.
    """

    num_mels: int = 80
    size: int = 512
    num_layers: int = 3
    num_heads: int = 8
    feed_forward_size: int = 2048


@dataclass(frozen=True)
class AudioToMotionConfig:
    """The whole model.

    Attributes:
        encoder: The speech encoder.
        recogniser: The recogniser next to it, if any; it is not trained.
        num_mouth: Mouth coefficients predicted from speech, the first of the expression basis.
        num_brows: Eyebrow coefficients sampled by idle motion, the rest of the basis.
        head_size: Width of the motion decoder.
        head_dilations: Dilation of each of its convolution blocks.
        state_dropout: Dropout of the states that it reads, while training.
        head_dropout: Dropout in its blocks, while training.
        num_life_clips: Number of recorded head and eyebrow tracks in the weights.
        num_life_frames: Their total number of frames.
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    recogniser: RecogniserConfig | None = None
    num_mouth: int = 16
    num_brows: int = 6
    head_size: int = 192
    head_dilations: tuple[int, ...] = (1, 2, 4)
    state_dropout: float = 0.1
    head_dropout: float = 0.1
    num_life_clips: int = 1
    num_life_frames: int = 200
