"""Convert the generator's normalised output to motion, and smooth it."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from liveportrait import safe_pickle
from liveportrait.errors import WeightsError, WeightsNotFoundError
from liveportrait.keypoints import rotation_matrix
from liveportrait.motion import Motion
from liveportrait.weight_files import is_file

_SMOOTHING = 0.01
_MOST_BYTES = 1 << 20


class GeneratedPose(NamedTuple):
    """Generated motion with its head angles in degrees: (T, 21, 3), (T, 1), (T, 3) and three of (T, 1)."""

    expression: Tensor
    scale: Tensor
    translation: Tensor
    pitch_deg: Tensor
    yaw_deg: Tensor
    roll_deg: Tensor

    def smoothed(self) -> GeneratedPose:
        """Apply an exponential moving average to everything but the expression."""
        return GeneratedPose(self.expression, *(average(value, _SMOOTHING) for value in self[1:]))

    def motion(self) -> Motion:
        """Convert to motion of the official networks."""
        rotation = rotation_matrix(self.pitch_deg, self.yaw_deg, self.roll_deg)
        return Motion(rotation, self.expression, self.scale, self.translation)


class PoseSmoother:
    """`GeneratedPose.smoothed` for motion in consecutive parts; keeps its state between calls."""

    def __init__(self) -> None:
        self._last: GeneratedPose | None = None

    def __call__(self, pose: GeneratedPose) -> GeneratedPose:
        """Smooth the next part, one frame or more."""
        if self._last is None:
            smooth = pose.smoothed()
        else:
            joined = GeneratedPose(*(torch.cat(pair) for pair in zip(self._last, pose, strict=True)))
            smooth = GeneratedPose(*(value[1:] for value in joined.smoothed()))
        self._last = GeneratedPose(*(value[-1:] for value in smooth))
        return smooth


@dataclass(frozen=True)
class MotionTemplate:
    """Statistics of the generator's training motion; sizes in parentheses.

    Attributes:
        mean_exp: Mean expression (63).
        std_exp: Its standard deviation (63).
        min_scale: Smallest scale (1); the other bounds likewise.
        max_scale: Largest scale (1).
        min_t: Translation (3).
        max_t: Translation (3).
        min_pitch: Degrees (1).
        max_pitch: Degrees (1).
        min_yaw: Degrees (1).
        max_yaw: Degrees (1).
        min_roll: Degrees (1).
        max_roll: Degrees (1).
    """

    mean_exp: Tensor
    std_exp: Tensor
    min_scale: Tensor
    max_scale: Tensor
    min_t: Tensor
    max_t: Tensor
    min_pitch: Tensor
    max_pitch: Tensor
    min_yaw: Tensor
    max_yaw: Tensor
    min_roll: Tensor
    max_roll: Tensor

    def denormalize(self, numbers: Tensor) -> GeneratedPose:
        """Convert normalised output to motion.

        Args:
            numbers: Shape (T, D), D ≥ 70: expression 63, scale, translation 3, pitch, yaw, roll; the rest is ignored.
        """
        parts = numbers[:, :70].split([63, 1, 3, 1, 1, 1], 1)
        expression = parts[0] * self.std_exp.to(numbers) + self.mean_exp.to(numbers)
        bounds = (
            (self.min_scale, self.max_scale),
            (self.min_t, self.max_t),
            (self.min_pitch, self.max_pitch),
            (self.min_yaw, self.max_yaw),
            (self.min_roll, self.max_roll),
        )
        rest = [
            part * (most - least).to(numbers) + least.to(numbers)
            for part, (least, most) in zip(parts[1:], bounds, strict=True)
        ]
        return GeneratedPose(expression.reshape(-1, 21, 3), *rest)


def average(sequence: Tensor, weight: float) -> Tensor:
    """Return the exponential moving average of a sequence (T, ...), starting at its first frame."""
    state = sequence[0]
    states = [state]
    for value in sequence[1:]:
        state = weight * value + (1 - weight) * state
        states.append(state)
    return torch.stack(states)


def load_motion_template(path: Path) -> MotionTemplate:
    """Read the published `motion_template.pkl` without executing code from it.

    Raises:
        WeightsNotFoundError: The file does not exist.
        WeightsError: The file is damaged, contains code, or lacks a statistic.
    """
    if not is_file(path):
        raise WeightsNotFoundError(f"{path} is missing; the generator's numbers mean nothing without it")
    if path.stat().st_size > _MOST_BYTES:
        raise WeightsError(f"{path}: {path.stat().st_size} bytes are too many for a motion template; fetch it again")
    try:
        values = safe_pickle.loads(path.read_bytes())
    except pickle.UnpicklingError as error:
        raise WeightsError(f"{path}: not readable as a motion template ({error}); fetch it again") from error
    if not isinstance(values, dict):
        raise WeightsError(f"{path}: expected a dictionary of statistics, found {type(values).__name__}")
    return MotionTemplate(**{field.name: _statistic(values, field.name, path) for field in fields(MotionTemplate)})


def _statistic(values: dict[Any, Any], name: str, path: Path) -> Tensor:
    size = 63 if name.endswith("exp") else 3 if name.endswith("_t") else 1
    if name not in values:
        raise WeightsError(f"{path}: key {name!r} is missing")
    try:
        value = safe_pickle.as_tensor(values[name]).float().flatten()
    except TypeError as error:
        raise WeightsError(f"{path}: key {name!r}: {error}") from error
    if len(value) != size or not value.isfinite().all():
        raise WeightsError(f"{path}: key {name!r} has {len(value)} values, expected {size} finite ones")
    return value
