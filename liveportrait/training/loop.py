"""What all training runs share: learning rate, averaged weights, checkpoints, changes of settings, and the loop."""

from __future__ import annotations

import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from safetensors import safe_open
from torch import Tensor, nn
from torch.optim import Optimizer

from liveportrait.errors import PortraitError
from liveportrait.writing import save_tensors

CHECKPOINT, LOG, BEST = "training.safetensors", "log.jsonl", "best.safetensors"
FINAL_RATE = 0.02
"""Learning rate at the end of the schedule, as a share of the peak."""

Figures = dict[str, float]


class TrainingError(PortraitError, ValueError):
    """Training cannot start: a setting is unknown, or data or a checkpoint is missing."""


class Schedule(Protocol):
    """The settings that every run has."""

    @property
    def num_steps(self) -> int:
        """Length of the run."""
        ...

    @property
    def learning_rate(self) -> float:
        """Peak learning rate."""
        ...

    @property
    def warmup_steps(self) -> int:
        """Steps of linear warm-up."""
        ...

    @property
    def average(self) -> float:
        """Decay of the weights' exponential moving average."""
        ...

    @property
    def device(self) -> str:
        """Device to train on."""
        ...


def schedule(step: int, num_steps: int, warmup_steps: int) -> float:
    """Return the learning rate of a step over its peak: a linear warm-up, then a cosine decay to 2 %."""
    rise = min(1.0, (step + 1) / warmup_steps)
    return rise * (FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * step / num_steps)))


S = TypeVar("S", bound=Schedule)


class Trainer(ABC, Generic[S]):
    """A resumable training run. A subclass adds the optimisers and the step.

    Args:
        config: Settings of the run, a dataclass.
        network: The network whose averaged weights are exported, on the run's device.
        others: Further modules that belong to the checkpoint, by name, e.g. discriminators.

    Attributes:
        step: Number of steps taken.
        average: Averaged weights of the network by name.
        optimizers: Optimisers by name; a parameter group may have a `factor` on the learning rate.
        writes: Whether this process writes log and checkpoints; only the first of several does.
    """

    def __init__(self, config: S, network: nn.Module, others: Mapping[str, nn.Module]) -> None:
        self.config, self.step, self.writes = config, 0, True
        self.optimizers: dict[str, Optimizer] = {}
        self._modules = {"network": network, **others}
        self.average = {name: value.clone() for name, value in network.state_dict().items()}

    @abstractmethod
    def compute_gradients(self) -> Figures:
        """Compute the gradients of the current step and return its losses."""

    def train_step(self) -> Figures:
        """Take one step and return its losses."""
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate(group.get("factor", 1.0))
        losses = self.compute_gradients()
        for optimizer in self.optimizers.values():
            optimizer.step()
        self._update_average()
        self.step += 1
        return losses

    def learning_rate(self, factor: float) -> float:
        """Return the learning rate of this step for parameters with a `factor`."""
        config = self.config
        return factor * config.learning_rate * schedule(self.step, config.num_steps, config.warmup_steps)

    def _update_average(self) -> None:
        keep = min(self.config.average, (1 + self.step) / (10 + self.step))  # early weights are soon forgotten
        for name, value in self._modules["network"].state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - keep)

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Give the network its averaged weights for a while."""
        network = self._modules["network"]
        kept = {name: value.clone() for name, value in network.state_dict().items()}
        network.load_state_dict(self.average)
        try:
            yield
        finally:
            network.load_state_dict(kept)

    def save(self, folder: Path) -> None:
        """Write a checkpoint: modules, averaged weights, optimisers, step and settings."""
        if not self.writes:
            return
        tensors = {f"average.{name}": value for name, value in self.average.items()}
        for part, module in self._modules.items():
            tensors |= {f"{part}.{name}": value for name, value in module.state_dict().items()}
        for part, optimizer in self.optimizers.items():
            for number, state in optimizer.state_dict()["state"].items():
                tensors |= {f"{part}.{number}.{name}": value for name, value in state.items()}
        tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
        about = {"step": str(self.step), "config": json.dumps(asdict(self.config))}  # type: ignore[call-overload]
        folder.mkdir(parents=True, exist_ok=True)
        save_tensors(tensors, folder / CHECKPOINT, about, replace=True)

    def resume(self, folder: Path) -> None:
        """Continue from a checkpoint.

        Raises:
            TrainingError: The folder has no checkpoint.
        """
        about, tensors = read_checkpoint(folder, self.config.device)
        self.average = tensors_under(tensors, "average")
        for part, module in self._modules.items():
            module.load_state_dict(tensors_under(tensors, part))
        for part, optimizer in self.optimizers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in tensors_under(tensors, part).items():
                number, name = key.split(".", 1)
                state.setdefault(int(number), {})[name] = value
            optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
        self.step = int(about["step"])


def read_checkpoint(folder: Path, device: str = "cpu") -> tuple[dict[str, str], dict[str, Tensor]]:
    """Read the metadata and all tensors of a run's checkpoint.

    Raises:
        TrainingError: The folder has no checkpoint.
    """
    file = folder / CHECKPOINT
    if not file.exists():
        raise TrainingError(f"{folder}: no checkpoint here; train first")
    with safe_open(file, "pt", device) as stored:
        return stored.metadata(), {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118


def read_average(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read the settings and the averaged weights of a run's checkpoint, on the CPU.

    Raises:
        TrainingError: The folder has no checkpoint.
    """
    about, tensors = read_checkpoint(folder)
    return json.loads(about["config"]), tensors_under(tensors, "average")


def check_same(folder: Path, config: Any, names: Sequence[str]) -> None:
    """Check that a run that is continued has the settings that make up its networks.

    Args:
        folder: Of the run; it may be new.
        config: The settings now.
        names: Settings that cannot change.

    Raises:
        TrainingError: One of them has changed.
    """
    if not (folder / CHECKPOINT).exists():
        return
    with safe_open(folder / CHECKPOINT, "pt") as stored:
        before = json.loads(stored.metadata()["config"])
    settings = json.loads(json.dumps(asdict(config)))
    for name in names:
        then = before[name] if name in before else getattr(type(config), name)
        if changed := _first_change(name, then, settings[name]):
            raise TrainingError(f"{folder}: a run with {changed}; give another --run")


def _first_change(name: str, then: Any, now: Any) -> str | None:
    """Describe the first setting that differs, in settings within settings too; None if all are the same.

    A setting inside others that the run does not know, since it is older, counts as the same.
    """
    if isinstance(then, dict) and isinstance(now, dict):
        parts = (_first_change(part, then[part], now[part]) for part in now if part in then)
        return next((change for change in parts if change), None)
    return None if then == now else f"{name}={str(then)[:40]}, not {str(now)[:40]}"


def tensors_under(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """Pick the tensors of one part and drop its name from theirs."""
    return {name.removeprefix(f"{part}."): value for name, value in tensors.items() if name.startswith(f"{part}.")}


def run(
    trainer: Trainer[Any],
    folder: Path,
    validate: Callable[[], Figures],
    *,
    every: int,
    minutes: float = math.inf,
    best_by: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    report: Callable[[int, Figures], None] | None = None,
) -> None:
    """Train to the end of the schedule or for a limited time; log, validate and save a checkpoint regularly.

    Args:
        trainer: The run; it continues from the folder's checkpoint if there is one.
        folder: Receives the checkpoint and log.jsonl.
        validate: Returns validation figures.
        every: Steps between validations.
        minutes: Stop, resumably, after this time.
        best_by: Validation figure, higher is better; the averaged weights are written when it improves.
        progress: Called after each step with the number of steps taken and of the whole run.
        report: Called after each validation with the step, and the mean losses and figures.
    """
    if (folder / CHECKPOINT).exists():
        trainer.resume(folder)
    folder.mkdir(parents=True, exist_ok=True)
    best = max((entry[best_by] for entry in _read_log(folder) if best_by in entry), default=-math.inf)
    begun, losses = time.monotonic(), list[Figures]()
    while trainer.step < trainer.config.num_steps and time.monotonic() - begun < 60 * minutes:
        step_losses = trainer.train_step()
        if not trainer.writes:
            continue
        losses.append(step_losses)
        if progress is not None:
            progress(trainer.step, trainer.config.num_steps)
        if trainer.step % every and trainer.step != trainer.config.num_steps:
            continue
        figures = validate()
        spent = (time.monotonic() - begun) / 60
        _log(folder, {"step": trainer.step, **_mean(losses), **figures, "minutes": spent})
        trainer.save(folder)
        if report is not None:
            report(trainer.step, {**_mean(losses), **figures})
        losses = []
        if best_by is not None and figures[best_by] > best:
            best = figures[best_by]
            weights = {name: value.cpu().contiguous() for name, value in trainer.average.items()}
            save_tensors(weights, folder / BEST, replace=True)
    if losses:  # stopped by time
        trainer.save(folder)


def _mean(losses: Sequence[Figures]) -> Figures:
    names = dict.fromkeys(name for one in losses for name in one)
    found = {name: [float(one[name]) for one in losses if name in one] for name in names}  # may lie on a device
    return {name: sum(values) / len(values) for name, values in found.items()}


def _log(folder: Path, entry: Mapping[str, float]) -> None:
    rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in entry.items()}
    with (folder / LOG).open("a") as file:
        file.write(json.dumps(rounded) + "\n")


def _read_log(folder: Path) -> list[dict[str, Any]]:
    file = folder / LOG
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


Config = TypeVar("Config")


def change_settings(config: Config, changes: Sequence[str]) -> Config:
    """Apply name=value pairs to a dataclass of settings, or to the dataclasses in it.

    Example:
        >>> from liveportrait.training.renderer import RendererTrainConfig
        >>> change_settings(RendererTrainConfig(), ["batch_size=4"]).batch_size
        4

    Raises:
        TrainingError: A name is unknown, or a value has the wrong type.
    """
    for change in changes:
        name, _, text = change.partition("=")
        changed = _change(config, name, text)
        if changed is None:
            raise TrainingError(f"--set {change}: unknown setting; one of {', '.join(_names(config))}")
        config = changed
    return config


def _change(config: Any, name: str, text: str) -> Any:
    """Return the settings with one value changed; None if no setting has this name."""
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name == name and type(value) in (int, float, str, bool):
            return replace(config, **{name: _parse(name, text, type(value))})
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value) and (changed := _change(value, name, text)) is not None:
            return replace(config, **{field.name: changed})
    return None


def _parse(name: str, text: str, kind: type) -> Any:
    try:
        return {"1": True, "true": True, "0": False, "false": False}[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        raise TrainingError(f"--set {name}={text}: {text!r} is not a valid {kind.__name__}") from None


def _names(config: Any) -> list[str]:
    """List the settings that can be changed."""
    values = {field.name: getattr(config, field.name) for field in fields(config)}
    own = [name for name, value in values.items() if type(value) in (int, float, str, bool)]
    return own + [name for value in values.values() if is_dataclass(value) for name in _names(value)]
