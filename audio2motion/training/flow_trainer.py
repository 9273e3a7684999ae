"""Train the motion generator: flow matching with clean-motion prediction, on one or several machines."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, distributed, nn

from audio2motion.flow.config import FlowConfig
from audio2motion.flow.model import MotionFlow
from audio2motion.flow.weights import parse_config
from audio2motion.training.flow_data import FlowBatch, FlowSampler
from liveportrait.regions import OFFICIAL
from liveportrait.training.loop import CHECKPOINT, Figures, Trainer, read_average


@dataclass(frozen=True)
class FlowTrainConfig:
    """Training settings.

    Attributes:
        model: Architecture.
        num_steps: Length of the run.
        batch_size: Windows per step over all processes.
        learning_rate: Peak learning rate, after a linear warm-up and before cosine decay.
        encoder_rate: Factor on the learning rate of a pretrained encoder.
        warmup_steps: Steps of warm-up.
        weight_decay: Weight decay of matrices.
        clip_norm: Largest gradient norm.
        average: Decay of the weights' exponential moving average.
        balance: Exponent of a speaker's duration in its sampling weight.
        voice_dropout: Share of windows without voice features, for classifier-free guidance.
        previous_dropout: Share of windows without preceding motion, so that errors do not accumulate.
        lip_weight: Factor on the loss of the lips.
        speed_weight: Weight of the frame-to-frame difference; the second difference has half of it.
        seed: Random seed.
        device: Device to train on.
        bfloat16: Whether to compute in bfloat16; weights and accumulation stay in float32.
    """

    model: FlowConfig = field(default_factory=FlowConfig)
    num_steps: int = 20_000
    batch_size: int = 16
    learning_rate: float = 3e-4
    encoder_rate: float = 0.1
    warmup_steps: int = 200
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    average: float = 0.999
    balance: float = 0.5
    voice_dropout: float = 0.1
    previous_dropout: float = 0.3
    lip_weight: float = 3.0
    speed_weight: float = 0.5
    seed: int = 0
    device: str = "cpu"
    bfloat16: bool = False


def flow_loss(estimate: Tensor, clean: Tensor, known: Tensor, weights: Tensor, speed_weight: float) -> Tensor:
    """Compare motion and its first and second differences over time.

    Args:
        estimate: Normalised motion, shape (B, T, D).
        clean: The target motion, same shape.
        known: Frames that count, shape (B, T).
        weights: Weight of each value, shape (D,).
        speed_weight: Weight of the first difference; the second difference has half of it.
    """
    error, count = estimate - clean, known.to(estimate.dtype)
    loss = estimate.new_zeros(())
    for weight in (1.0, speed_weight, speed_weight / 2):
        each = (error.square() * weights).mean(-1)
        loss = loss + weight * (each * count).sum() / count.sum().clamp_min(1)
        error, count = error.diff(dim=1), count[:, 1:] * count[:, :-1]
    return loss


class FlowTrainer(Trainer[FlowTrainConfig]):
    """A resumable training run, in one process or as one of several (`torchrun`).

    Args:
        model: The model with a fitted codec; the same in every process.
        sampler: Source of the batches.
        config: Training settings.
    """

    def __init__(self, model: MotionFlow, sampler: FlowSampler, config: FlowTrainConfig) -> None:
        self.sampler, self.model = sampler, model.to(config.device).train()
        super().__init__(config, self.model, {})
        self.rank, self.world = 0, 1
        if distributed.is_available() and distributed.is_initialized():
            self.rank, self.world = distributed.get_rank(), distributed.get_world_size()
        self.writes = self.rank == 0
        weights = torch.ones(config.model.num_numbers)
        if config.model.num_keypoints == OFFICIAL.num_keypoints:
            weights[[3 * row + axis for row in OFFICIAL.lips for axis in range(3)]] = config.lip_weight
        self.weights = weights.to(config.device)
        self.optimizers["optimizer"] = torch.optim.AdamW(self._groups(), config.learning_rate, betas=(0.9, 0.98))

    def _groups(self) -> list[dict]:
        published = set(self.model.encoder.parameters()) if self.config.model.encoder.checkpoint else set()
        learned = [p for p in self.model.parameters() if p.requires_grad]
        own = [p for p in learned if p not in published]
        groups = [
            {"params": [p for p in own if p.ndim > 1], "weight_decay": self.config.weight_decay, "factor": 1.0},
            {"params": [p for p in own if p.ndim <= 1], "weight_decay": 0.0, "factor": 1.0},
            {"params": [p for p in learned if p in published], "weight_decay": 0.0, "factor": self.config.encoder_rate},
        ]
        return [group for group in groups if group["params"]]

    def compute_gradients(self) -> Figures:
        """Compute the gradients of the current step, averaged over all processes; return this process's loss."""
        config = self.config
        # Reseed, so that dropout is the same after a resume.
        torch.manual_seed((config.seed * 1_000_003 + self.step) * 1_024 + self.rank)
        share = config.batch_size // self.world
        batch = self.sampler.batch(self.step, range(self.rank * share, (self.rank + 1) * share)).to(config.device)
        with torch.autocast(torch.device(config.device).type, torch.bfloat16, enabled=config.bfloat16):
            estimate, clean = self.estimate(batch)
        loss = flow_loss(estimate.float(), clean, batch.known, self.weights, config.speed_weight)
        self.model.zero_grad()
        loss.backward()
        self._share_gradients()
        nn.utils.clip_grad_norm_(self.model.parameters(), config.clip_norm)
        return {"loss": float(loss.detach())}

    @torch.inference_mode()
    def validation_loss(self, batch: FlowBatch) -> float:
        """Compare the averaged weights' estimates with the motion of clips that are not trained on."""
        model, self.model = self.model, self.averaged().to(self.config.device)
        try:
            estimate, clean = self.estimate(batch)
        finally:
            self.model = model
        return float(flow_loss(estimate, clean, batch.known, self.weights, self.config.speed_weight))

    def estimate(self, batch: FlowBatch) -> tuple[Tensor, Tensor]:
        """Add noise to motion and estimate it; return the estimate and the normalised motion, each (B, T, D)."""
        model = self.model
        clean, previous = model.codec.encode(batch.clean), model.codec.encode(batch.previous)
        previous = torch.where(batch.continues[:, None, None], previous, model.network.start)
        voice = torch.where(batch.has_voice[:, None, None], model.encode_audio(batch.waveform), model.network.unheard)
        mixed = torch.lerp(batch.noise, clean, batch.time[:, None, None])
        return model.network(mixed, batch.time, voice, previous), clean

    def _share_gradients(self) -> None:
        """Average the gradients over all processes in one all-reduce."""
        if self.world == 1:
            return
        learned = [p for p in self.model.parameters() if p.requires_grad]
        for parameter in learned:  # every process must send the same parameters, used or not
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        together = torch.cat([p.grad.flatten() for p in learned if p.grad is not None]) / self.world
        distributed.all_reduce(together)
        for parameter, part in zip(learned, together.split([p.numel() for p in learned]), strict=True):
            parameter.grad = part.view_as(parameter)

    def averaged(self) -> MotionFlow:
        """Return a model with the averaged weights, on the CPU in eval mode."""
        model = MotionFlow(self.config.model)
        model.load_state_dict({name: value.cpu() for name, value in self.average.items()})
        return model.eval()


def read_averaged(folder: Path) -> MotionFlow:
    """Load the averaged weights of a run's checkpoint, on the CPU in eval mode.

    Raises:
        TrainingError: The folder has no checkpoint.
    """
    config, weights = read_average(folder)
    model = MotionFlow(parse_config(config["model"], folder / CHECKPOINT))
    model.load_state_dict(weights)
    return model.eval()
