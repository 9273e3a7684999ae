"""Train the motion generator: flow matching with clean-motion prediction, on one or several machines."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, distributed, nn

from audio2motion.flow.config import FlowConfig
from audio2motion.training.flow_data import FlowBatch, FlowSampler
from audio2motion.flow.model import MotionFlow
from audio2motion.flow.weights import parse_config
from liveportrait.regions import OFFICIAL
from liveportrait.writing import save_tensors


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


class FlowTrainer:
    """A resumable training run, in one process or as one of several (`torchrun`).

    Args:
        model: The model with a fitted codec; the same in every process.
        sampler: Source of the batches.
        config: Training settings.
    """

    def __init__(self, model: MotionFlow, sampler: FlowSampler, config: FlowTrainConfig) -> None:
        self.config, self.sampler, self.step = config, sampler, 0
        self.model = model.to(config.device).train()
        self.rank, self.world = 0, 1
        if distributed.is_available() and distributed.is_initialized():
            self.rank, self.world = distributed.get_rank(), distributed.get_world_size()
        self.average = {name: value.clone() for name, value in self.model.state_dict().items()}
        weights = torch.ones(config.model.num_numbers)
        if config.model.num_keypoints == OFFICIAL.num_keypoints:
            weights[[3 * row + axis for row in OFFICIAL.lips for axis in range(3)]] = config.lip_weight
        self.weights = weights.to(config.device)
        self.optimizer = torch.optim.AdamW(self._groups(), config.learning_rate, betas=(0.9, 0.98))

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

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        config = self.config
        rise = min(1.0, (step + 1) / config.warmup_steps)
        return config.learning_rate * rise * (0.02 + 0.49 * (1 + math.cos(math.pi * step / config.num_steps)))

    def train_step(self) -> float:
        """Take one step and return this process's loss."""
        config = self.config
        # Reseed, so that dropout is the same after a resume.
        torch.manual_seed((config.seed * 1_000_003 + self.step) * 1_024 + self.rank)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(self.step) * group["factor"]
        share = config.batch_size // self.world
        batch = self.sampler.batch(self.step, range(self.rank * share, (self.rank + 1) * share)).to(config.device)
        with torch.autocast(torch.device(config.device).type, torch.bfloat16, enabled=config.bfloat16):
            estimate, clean = self.estimate(batch)
        loss = flow_loss(estimate.float(), clean, batch.known, self.weights, config.speed_weight)
        self.optimizer.zero_grad()
        loss.backward()
        self._share_gradients()
        nn.utils.clip_grad_norm_(self.model.parameters(), config.clip_norm)
        self.optimizer.step()
        keep = min(config.average, (1 + self.step) / (10 + self.step))
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - keep)
        self.step += 1
        return float(loss.detach())

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

    def save(self, directory: Path) -> None:
        """Write a checkpoint: model, averaged model, optimiser, step and settings; only in the first process."""
        if self.rank:
            return
        directory.mkdir(parents=True, exist_ok=True)
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items()}
        tensors["step"] = torch.tensor(self.step)
        tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
        about = {"config": json.dumps(asdict(self.config))}
        save_tensors(tensors, directory / "training.safetensors", about, replace=True)

    def resume(self, directory: Path) -> None:
        """Resume from a checkpoint."""
        tensors = load_file(directory / "training.safetensors", device=self.config.device)
        self.model.load_state_dict(_under(tensors, "model."))
        self.average = _under(tensors, "average.")
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in _under(tensors, "optimizer.").items():
            number, name = key.split(".", 1)
            state.setdefault(int(number), {})[name] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        self.step = int(tensors["step"])


def read_averaged(directory: Path) -> MotionFlow:
    """Load the averaged weights of a checkpoint, on the CPU in eval mode."""
    file = directory / "training.safetensors"
    with safe_open(file, "pt") as stored:
        config = json.loads(stored.metadata()["config"])
        names = [name for name in stored.keys() if name.startswith("average.")]  # noqa: SIM118 — no dictionary
        tensors = {name.removeprefix("average."): stored.get_tensor(name) for name in names}
    model = MotionFlow(parse_config(config["model"], file))
    model.load_state_dict(tensors)
    return model.eval()


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
