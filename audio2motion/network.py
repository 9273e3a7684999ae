"""The trained network: waveform → mouth coefficients, and lip measures from them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from audio2motion.config import FRAME_SAMPLES, AudioToMotionConfig
from audio2motion.decoder import MotionDecoder
from audio2motion.encoder import SpeechEncoder
from audio2motion.loudness import loudness_db
from audio2motion.recogniser import Recogniser
from liveportrait.graph import Graph, graph_hashes, read_graph, write_graph
from liveportrait.mini.face_model import FaceModel
from liveportrait.mini.regions import LIP_PAIRS, MOUTH_CORNERS, rows

GRAPH = "voice"
MIDDLE = LIP_PAIRS.index((13, 14))
EXAMPLE_FRAMES = 60
PIVOT = 0.5
"""Share of the mean lip opening about which openings are scaled by `contrast`.

At 1, slightly open lips would be closed for a third of all speech; at 0, few lips would meet where they should."""


class SpeechToMouth(nn.Module):
    """Predict mouth coefficients, and compute lip measures from them.

    Attributes:
        rest: Inner lip gaps and mouth width of the mean face at rest, shape (pairs + 1,), head-frame units.
        readout: Change of these per unit of each coefficient, shape (C, pairs + 1).
        center: Mean coefficients of speech, shape (C,); the centre for `contrast`, but see PIVOT.
        contrast: Factor by which predictions are spread about `center`, since regression shrinks them, shape (1,).
    """

    rest: Tensor
    readout: Tensor
    center: Tensor
    contrast: Tensor

    def __init__(self, config: AudioToMotionConfig) -> None:
        super().__init__()
        self.graph: Graph | None = None
        self.encoder = SpeechEncoder(config.encoder)
        self.recogniser = Recogniser(config.recogniser) if config.recogniser else None
        known = self.recogniser.size if self.recogniser else 0
        self.head = MotionDecoder(
            self.encoder.size + known,
            config.head_size,
            config.head_dilations,
            config.num_mouth,
            config.state_dropout,
            config.head_dropout,
        )
        self.register_buffer("rest", torch.zeros(len(LIP_PAIRS) + 1))
        self.register_buffer("readout", torch.zeros(config.num_mouth, len(LIP_PAIRS) + 1))
        self.register_buffer("center", torch.zeros(config.num_mouth))
        self.register_buffer("contrast", torch.ones(1))

    def read_face(self, face: FaceModel) -> None:
        """Compute `rest` and `readout` from the face model."""
        self.rest.copy_(lip_measures(face.mean[None], face)[0])
        shapes = face.mean + face.expression_basis[: self.readout.shape[0]]
        self.readout.copy_(lip_measures(shapes, face) - self.rest)

    def forward(self, waveform: Tensor) -> Tensor:
        """Predict mouth coefficients.

        Args:
            waveform: 16 kHz mono at the common level, shape (B, 640 T).

        Returns:
            Coefficients before calibration, shape (B, T, C).
        """
        inputs = self.read(waveform)
        if self.graph is not None and len(waveform) == 1 and self.graph.suits(inputs, torch.float32):
            return self.graph.run(inputs, torch.float32)
        return self.encode_and_decode(*inputs)[1]

    def read(self, waveform: Tensor) -> tuple[Tensor, ...]:
        """Compute the inputs of `encode_and_decode` from a waveform as in `forward`."""
        spectrum = () if self.recogniser is None else (self.recogniser.spectrum(waveform),)
        return waveform, loudness_db(waveform), *spectrum

    def encode_and_decode(
        self, waveform: Tensor, loudness: Tensor, spectrum: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the encoder's states, (B, 2 T, size), and the coefficients, (B, T, C), for the result of `read`."""
        states = features = self.encoder(waveform)
        if self.recogniser is not None:
            features = torch.cat([states, self.recogniser(spectrum)], -1)
        return states, self.head(features, loudness)

    def write_graph(self, directory: Path) -> dict[str, str]:
        """Write the network as a graph for single recordings of any length; return the SHA-256 of its files by name."""
        network = copy.deepcopy(self).cpu().float().eval()
        examples = network.read(torch.rand(1, EXAMPLE_FRAMES * FRAME_SAMPLES))
        write_graph(_Prediction(network), examples, directory / f"{GRAPH}.xml", free=[1])
        return graph_hashes(directory, [GRAPH])

    def read_graph(self, directory: Path, hashes: Mapping[str, str]) -> None:
        """Use a graph instead of the network on a CPU; errors as in `liveportrait.graph.read_graph`."""
        self.graph = read_graph(directory, GRAPH, hashes)

    def calibrate(self, coefficients: Tensor) -> Tensor:
        """Scale predictions (..., C) to the variance of real speech, without letting the lips cross."""
        opening = self.readout[:, MIDDLE]
        part = opening / opening.square().sum().clamp_min(1e-12)  # parts the lips by one unit
        pivot = self.center - (1 - PIVOT) * (self.center @ opening) * part
        spread = pivot + self.contrast * (coefficients - pivot)
        overlap = (-(spread @ opening)).clamp_min(0)
        return spread + overlap[..., None] * part

    def lip_ratio(self, coefficients: Tensor) -> Tensor:
        """Convert coefficients (..., C) to lip openness above rest, inner gap over mouth width, (..., 1)."""
        measures = coefficients @ self.readout
        width = (self.rest[-1] + measures[..., -1]).clamp_min(1e-3)
        return (measures[..., MIDDLE] / width).clamp_min(0)[..., None]


class _Prediction(nn.Module):
    """What a graph computes."""

    def __init__(self, network: SpeechToMouth) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.network.encode_and_decode(*inputs)[1]


def lip_measures(points: Tensor, face: FaceModel) -> Tensor:
    """Measure the inner lips' gaps and the mouth's width, shape (T, pairs + 1), from (T, K, 3) in the head frame."""
    left, right = rows(MOUTH_CORNERS)
    return torch.cat([face.lip_gaps(points), points[:, right, :1] - points[:, left, :1]], 1)
