"""Sliders, constant or interpolated smoothly between keyframes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from liveportrait import Motion
from liveportrait.errors import LandmarksNeededError
from liveportrait.imports import quiet_imports
from liveportrait.motion import PerFrame
from liveportrait.sliders import RANGES, Sliders
from talkinghead.host.isolation import own_settings
from talkinghead.options import EditOptions

NAMES = tuple(field.name for field in fields(EditOptions) if field.name not in {"keyframes", "silence", "stitching"})
"""The sliders' names in options and files."""

Keyframes = Mapping[Fraction, Mapping[str, float | None]]
"""Slider values by time in seconds; None leaves the opening of eyes or lips unchanged."""

_MODEL_NAMES = {
    "eyes_open": "eye_ratio",
    "lips_open": "lip_ratio",
    "pitch": "pitch_deg",
    "yaw": "yaw_deg",
    "roll": "roll_deg",
}
"""The models' names of sliders that are called differently there."""

_MODEL_UNITS = {"eyes_open": 1, "lips_open": 1, "zoom": 1, "gaze_x": 1, "gaze_y": 2, "pitch": -1, "yaw": -1, "roll": 1}
"""The models' units in one unit of a slider; they have gaze_y in half degrees, pitch down and yaw left."""

_OPPOSITE = {"move_x", "move_y"}
"""Sliders from -1 to 1 that are positive to the left and downwards in the models."""


@dataclass(frozen=True)
class SliderTrack(PerFrame):
    """Slider values, frame by frame.

    Attributes:
        values: One column for each of `NAMES`, shape (T, 17); NaN where an opening is left unchanged.
    """

    values: Tensor

    def __len__(self) -> int:
        return len(self.values)

    def sliders(self) -> Iterator[Sliders]:
        """Yield the sliders of every frame in the models' terms."""
        for row in self.values.tolist():
            yield Sliders(**dict(_to_model(name, value) for name, value in zip(NAMES, row, strict=True)))  # type: ignore[arg-type]


@own_settings()
def constant_sliders(options: EditOptions) -> SliderTrack:
    """Return the sliders of the options as a track of one frame."""
    return SliderTrack(torch.tensor([[_number(value) for value in _start(options).values()]], dtype=torch.float32))


@own_settings()
def interpolate_keyframes(keyframes: Keyframes, options: EditOptions, source: Motion, fps: Fraction) -> SliderTrack:
    """Interpolate every slider smoothly between the keyframes that set it.

    A slider that is not set at 0 s starts with its value in the options, and keeps its last value to the end. Between
    two keyframes it stays within their values; it slows down at extrema and at both ends.

    Args:
        keyframes: The result of `talkinghead.driver.keyframes.read_keyframes`.
        options: The initial values.
        source: The face's own motion, for the initial opening of eyes and lips.
        fps: Frames per second.

    Returns:
        The sliders from 0 s to the last keyframe.

    Raises:
        LandmarksNeededError: A keyframe sets an opening that was not measured in the source.
    """
    count = math.floor(max(keyframes) * fps) + 1
    times = np.array([float(n / fps) for n in range(count)])
    columns = []
    for name, start in _start(options).items():
        own = _own(name, source)
        named = {time: sliders[name] for time, sliders in sorted(keyframes.items()) if name in sliders}
        if not named:
            columns.append(np.full(count, _number(start)))
            continue
        points = {Fraction(0): start, **named}
        values = [own if value is None else value for value in points.values()]
        if any(map(math.isnan, values)):
            raise LandmarksNeededError(f"{name} is set, but was not measured in this source; leave it out")
        columns.append(_smooth_curve([float(time) for time in points], values, times))
    return SliderTrack(torch.from_numpy(np.stack(columns, 1)).float())


def _start(options: EditOptions) -> dict[str, float | None]:
    return {name: value for name, value in asdict(options).items() if name in NAMES}


def _own(name: str, source: Motion) -> float:
    """Return the opening of the source's eyes or lips, or NaN if it was not measured."""
    ratio = {"eyes_open": source.eye_ratio, "lips_open": source.lip_ratio}.get(name)
    return math.nan if ratio is None else float(ratio.mean())


def _smooth_curve(times: list[float], values: list[float], wanted: np.ndarray) -> np.ndarray:
    """Interpolate with a smooth curve that does not overshoot and has slope 0 at both ends."""
    if len(times) < 2:
        return np.full(len(wanted), values[0])
    with quiet_imports():
        from scipy.interpolate import CubicHermiteSpline, PchipInterpolator

    slopes = PchipInterpolator(times, values).derivative()(times)
    slopes[[0, -1]] = 0.0
    return CubicHermiteSpline(times, values, slopes)(np.clip(wanted, times[0], times[-1]))


def _to_model(name: str, value: float) -> tuple[str, float | None]:
    """Return a slider's name and value in the models; the ends of their ranges are -1 and 1 here."""
    model_name = _MODEL_NAMES.get(name, name)
    if math.isnan(value):
        return model_name, None
    if name in _MODEL_UNITS:
        return model_name, value * _MODEL_UNITS[name]
    low, high = RANGES[model_name]
    signed = -value if name in _OPPOSITE else value
    return model_name, signed * (high if signed > 0 else -low)


def _number(value: float | None) -> float:
    return math.nan if value is None else value
