"""Acoustic model of a phoneme recogniser: mel spectrum → Conformer → one state per 320 samples."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audio2motion.config import RecogniserConfig

_WINDOW, _HOP = 400, 160  # samples; two spectrum frames form one state
_FLOOR = 1e-10  # minimum power, -100 dB


class Recogniser(nn.Module):
    """The acoustic model of a phoneme recogniser; state k is centred on samples 320 k … 320 k + 319.

    The architecture is that of hama's recogniser (Apache-2.0), whose published weights initialise it in
    `talkinghead.training.recogniser_weights`. Batch normalisation is folded into the convolutions, so that training
    and inference compute the same.

    Attributes:
        size: Width of the states.
        mel: Mel filter bank, shape (frequencies, bands); stored, since its edges are rounded to whole bins.

    Source: Gulati et al., "Conformer: Convolution-augmented Transformer for Speech Recognition", 2020, Fig. 1.
    """

    mel: Tensor
    window: Tensor

    def __init__(self, config: RecogniserConfig) -> None:
        super().__init__()
        from torchaudio.models import Conformer

        self.size = config.size
        self.register_buffer("mel", torch.zeros(_WINDOW // 2 + 1, config.num_mels))
        self.register_buffer("window", torch.hann_window(_WINDOW, dtype=torch.float32, device="cpu"), persistent=False)
        self.subsample = nn.Conv1d(config.num_mels, config.size, 3, stride=2, padding=1)
        self.conformer = Conformer(
            config.size, config.num_heads, config.feed_forward_size, config.num_layers, config.kernel, config.dropout
        )
        for layer in self.conformer.conformer_layers:
            layer.conv_module.sequential[3] = nn.Identity()  # type: ignore[union-attr, index, operator]

    def forward(self, spectrum: Tensor) -> Tensor:
        """Encode speech.

        Args:
            spectrum: From `spectrum`, shape (B, 2 L, bands).

        Returns:
            States, shape (B, L, size).
        """
        states = nn.functional.gelu(self.subsample(spectrum.transpose(1, 2))).permute(2, 0, 1)  # time, batch, size
        for layer in self.conformer.conformer_layers:  # no padding mask, for which PyTorch imports a computer algebra
            states = layer(states, None)
        return states.transpose(0, 1)

    def spectrum(self, waveform: Tensor) -> Tensor:
        """Compute the logarithmic mel spectrum of 16 kHz mono (B, N), N a multiple of 320: (B, N / 160, bands)."""
        return (self.power(waveform) @ self.mel).clamp_min(_FLOOR).log()

    @torch.autocast("cpu", enabled=False)
    @torch.autocast("cuda", enabled=False)
    def power(self, waveform: Tensor) -> Tensor:
        """Compute the power spectrum, (B, N) → (B, N / 160, frequencies).

        Frame j is centred on sample 160 j + 160, so that every second frame is centred on its 320 samples.
        """
        from torchaudio.functional import spectrogram

        left = _WINDOW // 2 - _HOP
        padded = nn.functional.pad(waveform.float(), (left, _WINDOW - _HOP - left))
        return spectrogram(padded, 0, self.window, _WINDOW, _HOP, _WINDOW, 2.0, False, center=False).transpose(1, 2)
