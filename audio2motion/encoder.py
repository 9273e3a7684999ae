"""Speech encoder: waveform → one state per 320 samples, exactly aligned."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from audio2motion.config import FEATURE_SAMPLES, SAMPLE_RATE, EncoderConfig
from liveportrait.errors import WeightsError, WeightsNotFoundError
from liveportrait.imports import quiet_imports

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LOWEST_HZ, HIGHEST_HZ = 60.0, 7600.0
NUM_PHASES = 4
NUM_GROUPS = 16
"""Groups of the convolution that encodes positions."""


class SpeechEncoder(nn.Module):
    """A speech encoder whose state k is centred on samples 320 k … 320 k + 319, for any stride of the network.

    Attributes:
        size: Width of the states.
        stride: Samples from one state of the network to the next.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.network: PreTrainedModel | Wav2Vec2 = _pretrained(config) if config.checkpoint else Wav2Vec2(config)
        numbers: Any = self.network.config if config.checkpoint else config
        self.size = int(numbers.hidden_size)
        field, self.stride = 1, 1
        for kernel, step in zip(numbers.conv_kernel, numbers.conv_stride, strict=True):
            field, self.stride = field + (kernel - 1) * self.stride, self.stride * step
        self.margin = field - self.stride
        self.frozen = config.frozen
        if self.frozen:
            self.network.requires_grad_(False)
        # Checkpoints without a group norm after their first convolution expect audio with unit variance.
        self._normalizes = config.checkpoint is not None and numbers.feat_extract_norm == "layer"

    def train(self, mode: bool = True) -> SpeechEncoder:
        """Set training mode; a frozen network stays in eval mode."""
        super().train(mode)
        if self.frozen:
            self.network.eval()
        return self

    def save_architecture(self, folder: Path) -> None:
        """Write the architecture of a published encoder, with which `EncoderConfig.checkpoint` can name the folder."""
        cast("PreTrainedModel", self.network).config.save_pretrained(folder)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode speech.

        Args:
            waveform: 16 kHz mono, shape (B, N), N a multiple of 320.

        Returns:
            States, shape (B, N / 320, size).
        """
        if self._normalizes:
            waveform = (waveform - waveform.mean(1, keepdim=True)) / (waveform.std(1, keepdim=True) + 1e-5)
        left = self.margin // 2
        padded = nn.functional.pad(waveform, (left, self.margin - left + -waveform.shape[1] % self.stride))
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            states = self.network(padded)
        states = states if isinstance(states, Tensor) else states.last_hidden_state
        if self.stride == FEATURE_SAMPLES:
            return states
        return _resampled(states, FEATURE_SAMPLES / self.stride, waveform.shape[1] // FEATURE_SAMPLES)


def _resampled(states: Tensor, step: float, count: int) -> Tensor:
    """Interpolate states (B, L, D) at the centres of `count` states, each `step` times as long."""
    middle = torch.arange(count, device=states.device, dtype=torch.float32) + 0.5
    place = (middle * step - 0.5).clamp(0, states.shape[1] - 1)
    before = place.long()
    after = (before + 1).clamp(max=states.shape[1] - 1)
    return torch.lerp(states[:, before], states[:, after], (place - before).to(states)[:, None])


def _pretrained(config: EncoderConfig) -> PreTrainedModel:
    """Load a pretrained encoder and drop unused layers."""
    network: Any = _read(str(config.checkpoint))
    layers = getattr(getattr(network, "encoder", None), "layers", None)
    if layers is None or not hasattr(network.config, "conv_kernel"):
        found = getattr(network.config, "model_type", type(network).__name__)
        raise WeightsError(f"{config.checkpoint}: is {found}; give a Wav2Vec2, HuBERT, WavLM or XLS-R checkpoint")
    if config.layer is not None:
        if not 1 <= config.layer <= len(layers):
            raise WeightsError(f"{config.checkpoint}: has {len(layers)} layers, not {config.layer}; choose one of them")
        network.encoder.layers = layers[: config.layer]
        network.config.num_hidden_layers = config.layer  # saved configs must match the layers kept
    network.config.apply_spec_augment = False
    network.feature_extractor.requires_grad_(False)
    if hasattr(network, "masked_spec_embed"):  # an embedding for masked steps, which do not occur here
        network.masked_spec_embed.requires_grad_(False)
    return network


def _read(checkpoint: str) -> PreTrainedModel:
    """Load a checkpoint; a directory with only a config.json gives random weights."""
    with quiet_imports():
        from transformers import AutoConfig, AutoModel

    directory = Path(checkpoint)
    try:
        if directory.is_dir() and not any(directory.glob("*.safetensors")) and not any(directory.glob("*.bin")):
            return AutoModel.from_config(AutoConfig.from_pretrained(directory))
        return AutoModel.from_pretrained(checkpoint)
    except (OSError, ValueError) as error:
        raise WeightsNotFoundError(
            f"{checkpoint}: no speech encoder of this name or in this folder; give a Wav2Vec2, HuBERT, WavLM or XLS-R "
            "checkpoint"
        ) from error


class Wav2Vec2(nn.Module):
    """The architecture of Wav2Vec2 from torchaudio, with the names of transformers' parameters.

    The embedded encoder does without transformers, because importing them takes seconds.

    Source: Baevski et al., "wav2vec 2.0", 2020, in the variant with layer norms first ("stable layer norm").
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        from torchaudio.models import wav2vec2_model

        convolutions = list(zip(config.conv_dim, config.conv_kernel, config.conv_stride, strict=True))
        model = wav2vec2_model(
            extractor_mode="layer_norm",
            extractor_conv_layer_config=convolutions,
            extractor_conv_bias=True,
            encoder_embed_dim=config.hidden_size,
            encoder_projection_dropout=config.dropout,
            encoder_pos_conv_kernel=config.position_kernel,
            encoder_pos_conv_groups=NUM_GROUPS,
            encoder_num_layers=config.num_layers,
            encoder_num_heads=config.num_heads,
            encoder_attention_dropout=config.dropout,
            encoder_ff_interm_features=config.feed_forward_size,
            encoder_ff_interm_dropout=config.dropout,
            encoder_dropout=config.dropout,
            encoder_layer_norm_first=True,
            encoder_layer_drop=0.0,
            aux_num_out=None,
        )
        self.feature_extractor = model.feature_extractor
        self.feature_projection = cast(nn.Module, model.encoder.feature_projection)
        self.encoder = cast(nn.Module, model.encoder.transformer)
        first: nn.Conv1d = self.feature_extractor.conv_layers[0].conv  # type: ignore[assignment]
        if first.weight.is_meta:
            return
        with torch.no_grad():
            first.weight.copy_(mel_filters(first.out_channels, first.kernel_size[0])[:, None])
            first.bias.zero_()  # type: ignore[union-attr]

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode speech, (B, N) → (B, L, size)."""
        features, _ = self.feature_extractor(waveform, None)
        return self.encoder(self.feature_projection(features), None)


def mel_filters(num_channels: int, kernel: int) -> Tensor:
    """Build windowed tones on the mel scale in four phases, an initialisation that speeds up training.

    Args:
        num_channels: Number of filters, four for each tone.
        kernel: Length in samples at 16 kHz.

    Returns:
        Filters, shape (num_channels, kernel); with a higher gain at high frequencies, where voices are quieter.
    """
    num_tones = math.ceil(num_channels / NUM_PHASES)
    low, high = (2595 * math.log10(1 + hz / 700) for hz in (LOWEST_HZ, HIGHEST_HZ))
    tones = 700 * (10 ** (torch.linspace(low, high, num_tones, dtype=torch.float32) / 2595) - 1)
    width = torch.cat([tones.diff(), tones.diff()[-1:]]) * 2
    seconds = (torch.arange(kernel, dtype=torch.float32) - (kernel - 1) / 2) / SAMPLE_RATE
    # The window limits the bandwidth of low tones; high tones are shortened to the width of their mel band.
    sigma = (0.6 / width).clamp(max=kernel / SAMPLE_RATE / 5)
    window = torch.exp(-0.5 * (seconds / sigma[:, None]).square())
    phases = torch.arange(NUM_PHASES, dtype=torch.float32) * (2 * math.pi / NUM_PHASES)
    wave = torch.cos(2 * math.pi * tones[:, None, None] * seconds + phases[None, :, None]) * window[:, None]
    wave = wave / wave.norm(dim=-1, keepdim=True) * (tones[:, None, None] / 1000) ** 0.7
    return wave.flatten(0, 1)[:num_channels] * 10.0
