"""Train the network, with averaged weights and checkpoints from which a run resumes exactly."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from audio2motion.config import AudioToMotionConfig
from audio2motion.training.data import BatchSampler
from audio2motion.training.losses import LossWeights, mouth_loss, phoneme_loss
from audio2motion.network import SpeechToMouth
from liveportrait.writing import new_file, save_tensors


@dataclass(frozen=True)
class TrainConfig:
    """Training settings.

    Attributes:
        model: Architecture.
        weights: Weights of the loss terms.
        num_steps: Length of the run.
        batch_size: Windows per step.
        num_frames: Frames per window.
        learning_rate: Peak learning rate, after a linear warm-up and with cosine decay.
        encoder_rate: Factor on the learning rate of a pretrained encoder and of the recogniser.
        warmup_steps: Steps of warm-up.
        weight_decay: Weight decay of matrices.
        clip_norm: Largest gradient norm.
        average: Decay of the weights' exponential moving average.
        balance: Exponent of a speaker's duration in its sampling weight.
        seed: Random seed.
        device: Device to train on.
        bfloat16: Whether to compute in bfloat16.
    """

    model: AudioToMotionConfig = field(default_factory=AudioToMotionConfig)
    weights: LossWeights = field(default_factory=LossWeights)
    num_steps: int = 2600
    batch_size: int = 16
    num_frames: int = 60
    learning_rate: float = 1.2e-3
    encoder_rate: float = 0.03
    warmup_steps: int = 100
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    average: float = 0.995
    balance: float = 0.5
    seed: int = 0
    device: str = "cpu"
    bfloat16: bool = True


class Trainer:
    """A resumable training run.

    Args:
        network: The network, with its readout set.
        sampler: Source of the batches.
        shapes: From `displacement_shapes`, shape (C, C).
        config: Training settings.
    """

    def __init__(self, network: SpeechToMouth, sampler: BatchSampler, shapes: Tensor, config: TrainConfig) -> None:
        self.config, self.sampler, self.shapes = config, sampler, shapes.to(config.device)
        self.network = network.to(config.device).train()
        self.speaker_offset = nn.Embedding(sampler.clips.num_speakers, shapes.shape[0]).to(config.device)
        nn.init.zeros_(self.speaker_offset.weight)
        self.phoneme_classifier = nn.Linear(network.encoder.size, sampler.clips.phonemes.shape[1]).to(config.device)
        self.average = {name: value.clone() for name, value in network.state_dict().items()}
        self.optimizer = torch.optim.AdamW(self._groups(), config.learning_rate, betas=(0.9, 0.98))
        self.step = 0

    def _groups(self) -> list[dict]:
        published = set(self.network.encoder.parameters()) if self.config.model.encoder.checkpoint else set()
        published |= set(self.network.recogniser.parameters()) if self.network.recogniser else set()
        learned = [p for p in self.network.parameters() if p.requires_grad]
        own, given = ([p for p in learned if (p in published) == known] for known in (False, True))
        matrices, others = ([p for p in own if (p.ndim > 1) == wide] for wide in (True, False))
        groups = [
            {"params": matrices, "weight_decay": self.config.weight_decay, "factor": 1.0},
            {
                "params": [*others, self.speaker_offset.weight, *self.phoneme_classifier.parameters()],
                "weight_decay": 0.0,
                "factor": 1.0,
            },
        ]
        if given:
            groups.append({"params": given, "weight_decay": 0.0, "factor": self.config.encoder_rate})
        return groups

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        config = self.config
        rise = min(1.0, (step + 1) / config.warmup_steps)
        return config.learning_rate * rise * (0.02 + 0.49 * (1 + math.cos(math.pi * step / config.num_steps)))

    def train_step(self) -> float:
        """Take one step and return its loss."""
        config = self.config
        torch.manual_seed(config.seed * 1_000_003 + self.step)  # reproduces dropout after a resume
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(self.step) * group["factor"]
        batch = self.sampler.batch(self.step).to(config.device)
        with torch.autocast(config.device, torch.bfloat16, enabled=config.bfloat16):
            states, predicted = self.network.encode_and_decode(batch.waveform)
            phonemes = self.phoneme_classifier(states)
        # Learn a constant offset per speaker (an error of the measured rest face), which is not exported.
        offset = self.speaker_offset(batch.speaker)[:, None]
        mouth = predicted.float() + offset
        loss = mouth_loss(mouth, batch.mouth, batch.known, self.shapes, self.network, config.weights)
        loss = loss + 0.01 * offset.square().mean()
        loss = loss + config.weights.phonemes * phoneme_loss(phonemes.float(), batch.phonemes)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), config.clip_norm)
        self.optimizer.step()
        self._average()
        self.step += 1
        return float(loss.detach())

    def _average(self) -> None:
        keep = min(self.config.average, (1 + self.step) / (10 + self.step))
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - keep)

    def save(self, directory: Path) -> None:
        """Write a checkpoint: network, averaged network, optimiser, step and settings."""
        directory.mkdir(parents=True, exist_ok=True)
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.items()}
        tensors["habits"] = self.speaker_offset.weight
        tensors |= {f"spell.{name}": value for name, value in self.phoneme_classifier.state_dict().items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items()}
        tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
        save_tensors(tensors, directory / "training.safetensors", replace=True)
        record = {"step": self.step, "config": asdict(self.config)}
        with new_file(directory / "training.json", replace=True) as partial:
            partial.write_text(json.dumps(record, indent=1))

    def resume(self, directory: Path) -> None:
        """Resume from a checkpoint."""
        tensors = load_file(directory / "training.safetensors", device=self.config.device)
        self.network.load_state_dict(_under(tensors, "network."))
        self.average = _under(tensors, "average.")
        with torch.no_grad():
            self.speaker_offset.weight.copy_(tensors["habits"])
        self.phoneme_classifier.load_state_dict(_under(tensors, "spell."))
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in _under(tensors, "optimizer.").items():
            number, name = key.split(".", 1)
            state.setdefault(int(number), {})[name] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        self.step = int(json.loads((directory / "training.json").read_text())["step"])


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def displacement_shapes(basis: Tensor) -> Tensor:
    """Return S, (C, C), with |c S|² = mean squared displacement of the moved points, from a basis (C, K, 3).

    The result is scaled so that typical coefficients have size about one.
    """
    flat = basis.flatten(1)
    values, vectors = torch.linalg.eigh(flat @ flat.T)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    return root / root.norm()
