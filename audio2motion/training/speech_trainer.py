"""Train the network of the embedded audio-to-motion model."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from audio2motion.config import AudioToMotionConfig
from audio2motion.network import SpeechToMouth
from audio2motion.training.data import Batch, BatchSampler
from audio2motion.training.losses import LossWeights, mouth_loss, phoneme_loss
from liveportrait.training.loop import Figures, Trainer

LARGEST_GAIN = 0.7
"""Limit of the logarithm of a speaker's gain."""


@dataclass(frozen=True)
class SpeechTrainConfig:
    """Training settings.

    Attributes:
        model: Architecture.
        weights: Weights of the loss terms.
        num_steps: Length of the run.
        batch_size: Windows per step.
        num_frames: Frames per window.
        learning_rate: Peak learning rate, after a linear warm-up and with cosine decay.
        encoder_rate: Factor on the learning rate of a pretrained encoder.
        warmup_steps: Steps of warm-up.
        weight_decay: Weight decay of matrices.
        clip_norm: Largest gradient norm.
        average: Decay of the weights' exponential moving average.
        augmented: Share of windows whose sound is changed.
        balance: Exponent of a speaker's duration in its sampling weight.
        labels: Weight of the real mouths; of the teachers' it is one.
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
    augmented: float = 1.0
    balance: float = 0.5
    labels: float = 1.0
    seed: int = 0
    device: str = "cpu"
    bfloat16: bool = True


class SpeechTrainer(Trainer[SpeechTrainConfig]):
    """A resumable training run of the embedded audio-to-motion model.

    Args:
        network: The network, with its readout set.
        sampler: Source of the batches.
        shapes: From `displacement_shapes`, shape (C, C).
        config: Training settings.
        teachers: Trained networks; their mean prediction from the clean sound is a second target.
    """

    def __init__(
        self,
        network: SpeechToMouth,
        sampler: BatchSampler,
        shapes: Tensor,
        config: SpeechTrainConfig,
        teachers: Sequence[SpeechToMouth] = (),
    ) -> None:
        self.sampler, self.shapes = sampler, shapes.to(config.device)
        self.network = network.to(config.device).train()
        self.speaker_offset = nn.Embedding(sampler.clips.num_speakers, shapes.shape[0]).to(config.device)
        self.speaker_gain = nn.Embedding(sampler.clips.num_speakers, 1).to(config.device)
        for speaker in (self.speaker_offset, self.speaker_gain):
            nn.init.zeros_(speaker.weight)
        self.teachers = [teacher.to(config.device).eval().requires_grad_(False) for teacher in teachers]
        self.phoneme_classifier = nn.Linear(network.encoder.size, sampler.clips.phonemes.shape[1]).to(config.device)
        others = {
            "speaker_offset": self.speaker_offset,
            "speaker_gain": self.speaker_gain,
            "phoneme_classifier": self.phoneme_classifier,
        }
        super().__init__(config, self.network, others)
        self.optimizers["optimizer"] = torch.optim.AdamW(self._groups(), config.learning_rate, betas=(0.9, 0.98))

    def _groups(self) -> list[dict]:
        config = self.config
        published = set(self.network.encoder.parameters()) if config.model.encoder.checkpoint else set()
        learned = [p for p in self.network.parameters() if p.requires_grad]
        own, given = ([p for p in learned if (p in published) == known] for known in (False, True))
        matrices, others = ([p for p in own if (p.ndim > 1) == wide] for wide in (True, False))
        speakers = [self.speaker_offset.weight, self.speaker_gain.weight]
        others = [*others, *speakers, *self.phoneme_classifier.parameters()]
        groups = [
            {"params": matrices, "weight_decay": config.weight_decay, "factor": 1.0},
            {"params": others, "weight_decay": 0.0, "factor": 1.0},
            {"params": given, "weight_decay": 0.0, "factor": config.encoder_rate},
        ]
        return [group for group in groups if group["params"]]

    def compute_gradients(self) -> Figures:
        """Compute the gradients of the current step and return its losses."""
        config = self.config
        torch.manual_seed(config.seed * 1_000_003 + self.step)  # reproduces dropout after a resume
        batch = self.sampler.batch(self.step).to(config.device)
        with torch.autocast(config.device, torch.bfloat16, enabled=config.bfloat16):
            states, predicted = self.network.encode_and_decode(*self.network.read(batch.waveform))
            phonemes = self.phoneme_classifier(states)
        predicted = predicted.float()
        loss = config.labels * self._label_loss(predicted, batch)
        if self.teachers:
            loss = loss + self._teacher_loss(predicted, batch)
        loss = loss + config.weights.phonemes * phoneme_loss(phonemes.float(), batch.phonemes)
        for module in (self.network, self.speaker_offset, self.speaker_gain, self.phoneme_classifier):
            module.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), config.clip_norm)
        return {"loss": float(loss.detach())}

    def _label_loss(self, predicted: Tensor, batch: Batch) -> Tensor:
        """Compare with the real mouths, up to what the sound cannot tell.

        That is how far a speaker opens the mouth, and an offset, the error of the measured rest face. Both are learned
        for each speaker and not exported.
        """
        offset, gain = self.speaker_offset(batch.speaker)[:, None], self.speaker_gain(batch.speaker)[:, None]
        mouth = predicted * gain.clamp(-LARGEST_GAIN, LARGEST_GAIN).exp() + offset
        loss = mouth_loss(mouth, batch.mouth, batch.known, self.shapes, self.network, self.config.weights)
        return loss + 0.01 * offset.square().mean() + 0.05 * gain.square().mean()

    def _teacher_loss(self, predicted: Tensor, batch: Batch) -> Tensor:
        """Compare with the mean of the teachers, in every frame."""
        with torch.no_grad(), torch.autocast(self.config.device, torch.bfloat16, enabled=self.config.bfloat16):
            wanted = torch.stack([teacher(batch.clean).float() for teacher in self.teachers]).mean(0)
        everywhere = torch.ones_like(batch.known)
        return mouth_loss(predicted, wanted, everywhere, self.shapes, self.network, self.config.weights)

    def averaged(self) -> SpeechToMouth:
        """Return the network with the averaged weights, on the CPU in eval mode."""
        network = deepcopy(self.network).cpu()
        network.load_state_dict({name: value.cpu() for name, value in self.average.items()})
        return network.eval()


def displacement_shapes(basis: Tensor) -> Tensor:
    """Return S, (C, C), with |c S|² = mean squared displacement of the moved points, from a basis (C, K, 3).

    The result is scaled so that typical coefficients have size about one.
    """
    flat = basis.flatten(1)
    values, vectors = torch.linalg.eigh(flat @ flat.T)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    return root / root.norm()
