"""Read the first layers of a published Whisper encoder, which the audio-to-motion model uses unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from audio2motion.config import SAMPLE_RATE, RecogniserConfig
from liveportrait.imports import quiet_imports
from talkinghead.errors import OptionError

NAMES = {
    "self_attn_layer_norm": "norm1",
    "self_attn.out_proj": "self_attn.out_proj",
    "final_layer_norm": "norm2",
    "fc1": "linear1",
    "fc2": "linear2",
}
"""Parts of a layer, as transformers and as `torch.nn.TransformerEncoderLayer` name them."""


def read_recogniser(checkpoint: str, num_layers: int) -> tuple[RecogniserConfig, dict[str, Tensor]]:
    """Read the first layers of a Whisper encoder.

    Args:
        checkpoint: Hub name or folder of a Whisper model, as transformers saves it.
        num_layers: How many layers to keep.

    Returns:
        The settings of a recogniser, and its weights in float32, named as in `Recogniser.state_dict`.

    Raises:
        OptionError: There is no such model, it is no Whisper model, or it has fewer layers.
    """
    network = _read_encoder(checkpoint)
    if not 1 <= num_layers <= len(network.layers):
        count = len(network.layers)
        raise OptionError(
            f"{checkpoint}: has {count} layers; --recogniser-layers {num_layers} must be from 1 to {count}"
        )
    numbers = network.config
    config = RecogniserConfig(
        num_mels=numbers.num_mel_bins,
        size=numbers.d_model,
        num_layers=num_layers,
        num_heads=numbers.encoder_attention_heads,
        feed_forward_size=numbers.encoder_ffn_dim,
    )
    state = {f"norm.{part}": value for part, value in network.layer_norm.state_dict().items()}
    for ours, theirs in (("convolution", network.conv1), ("subsample", network.conv2)):
        state |= {f"{ours}.{part}": value for part, value in theirs.state_dict().items()}
    for number, layer in enumerate(network.layers[:num_layers]):
        state |= {f"layers.{number}.{name}": value for name, value in _layer(layer).items()}
    return config, {"mel": mel_bands(config.num_mels)} | state


def mel_bands(num_mels: int) -> Tensor:
    """Return Whisper's mel filter bank, shape (201, num_mels)."""
    from torchaudio.functional import melscale_fbanks

    return melscale_fbanks(201, 0.0, SAMPLE_RATE / 2, num_mels, SAMPLE_RATE, norm="slaney", mel_scale="slaney")


def _read_encoder(checkpoint: str) -> Any:
    with quiet_imports():
        from transformers import AutoConfig, WhisperModel

    try:
        kind = AutoConfig.from_pretrained(checkpoint).model_type
        if kind == "whisper":
            with _no_bar():
                return WhisperModel.from_pretrained(checkpoint).float().eval().requires_grad_(False).get_encoder()
    except Exception as error:  # damaged files fail in many ways
        raise OptionError(
            f"{checkpoint}: no Whisper model of this name or in this folder; give a hub name or a folder that "
            "transformers saved"
        ) from error
    raise OptionError(f"{checkpoint}: is a {kind} model; give a Whisper model")


@contextmanager
def _no_bar() -> Iterator[None]:
    """Show no progress bar while transformers reads weights."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _layer(layer: Any) -> dict[str, Tensor]:
    """Rename the weights of a layer; a key has no bias in Whisper."""
    attention = layer.self_attn
    query, key, value = attention.q_proj, attention.k_proj, attention.v_proj
    state = {
        "self_attn.in_proj_weight": torch.cat([query.weight, key.weight, value.weight]),
        "self_attn.in_proj_bias": torch.cat([query.bias, torch.zeros_like(query.bias), value.bias]),
    }
    for theirs, ours in NAMES.items():
        state |= {f"{ours}.{part}": each for part, each in layer.get_submodule(theirs).state_dict().items()}
    return state
