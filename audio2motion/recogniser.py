"""A speech recogniser, the first layers of Whisper: mel spectrum → Transformer → one state per 320 samples."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from audio2motion.config import RecogniserConfig

_WINDOW, _HOP = 400, 160  # samples; two spectrum frames form one state
_FLOOR = 10**-6.5  # minimum power; Whisper's is 80 dB below the loudest moment of the whole recording
_SLOWEST = 10_000.0  # longest wave of the position encoding, in states, over 2 pi


class Recogniser(nn.Module):
    """The first layers of a speech recogniser's encoder; state k is centred on samples 320 k … 320 k + 319.

    It is that of Whisper (OpenAI, MIT). `talkinghead.training.recogniser_weights` reads its published weights, which
    are not trained further. The last layers are left out, because they represent words rather than sounds.

    Attributes:
        size: Width of the states.
        mel: Mel filter bank, shape (frequencies, bands).

    Source: Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022, section 2.2.
    """

    mel: Tensor
    window: Tensor

    def __init__(self, config: RecogniserConfig) -> None:
        super().__init__()
        self.size = config.size
        self.register_buffer("mel", torch.zeros(_WINDOW // 2 + 1, config.num_mels))
        self.register_buffer("window", torch.hann_window(_WINDOW, dtype=torch.float32, device="cpu"), persistent=False)
        self.convolution = nn.Conv1d(config.num_mels, config.size, 3, padding=1)
        self.subsample = nn.Conv1d(config.size, config.size, 3, stride=2, padding=1)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                config.size,
                config.num_heads,
                config.feed_forward_size,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(config.num_layers)
        )
        self.norm = nn.LayerNorm(config.size)
        self.requires_grad_(False)

    def train(self, mode: bool = True) -> Recogniser:
        """Stay in eval mode: it is not trained."""
        return super().train(False)

    def forward(self, spectrum: Tensor) -> Tensor:
        """Encode speech.

        Args:
            spectrum: From `spectrum`, shape (B, 2 L, bands).

        Returns:
            States, shape (B, L, size).
        """
        states = nn.functional.gelu(self.convolution(spectrum.transpose(1, 2)))
        states = nn.functional.gelu(self.subsample(states)).transpose(1, 2)
        states = states + positions(states)
        for layer in self.layers:
            states = layer(states)
        return self.norm(states)

    def spectrum(self, waveform: Tensor) -> Tensor:
        """Compute Whisper's mel spectrum of 16 kHz mono (B, N), N a multiple of 320: (B, N / 160, bands).

        It is the logarithm to base 10 of the power in each band, plus 4, over 4.
        """
        return ((self.power(waveform) @ self.mel).clamp_min(_FLOOR).log10() + 4) / 4

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


def positions(states: Tensor) -> Tensor:
    """Encode the positions of states (B, L, size), size even and at least 4, as sines and cosines, shape (L, size)."""
    half = states.shape[-1] // 2
    speeds = torch.exp(torch.arange(half, device=states.device) * (-math.log(_SLOWEST) / (half - 1)))
    angles = torch.arange(states.shape[1], device=states.device)[:, None] * speeds
    return torch.cat([angles.sin(), angles.cos()], -1).to(states)
