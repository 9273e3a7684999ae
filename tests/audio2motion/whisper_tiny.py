"""A Whisper model with few, random weights."""

from __future__ import annotations

from pathlib import Path

import torch

SIZES = {"layers": 3, "attention_heads": 2, "ffn_dim": 48}


def save_whisper(folder: Path) -> None:
    """Save a model of three layers and 16 mel bands as transformers does."""
    from transformers import WhisperConfig, WhisperModel

    sizes = {f"{part}_{name}": size for part in ("encoder", "decoder") for name, size in SIZES.items()}
    tokens = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2, "decoder_start_token_id": 1}
    torch.manual_seed(0)
    WhisperModel(WhisperConfig(d_model=32, vocab_size=10, num_mel_bins=16, **sizes, **tokens)).save_pretrained(folder)
