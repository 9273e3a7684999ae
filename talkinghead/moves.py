"""Edits by hand, one or many in a row: sliders, and keyframes between which they move smoothly."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import Tensor

from liveportrait import Motion
from liveportrait.imports import quiet_imports
from liveportrait.motion import PerFrame
from liveportrait.sliders import Sliders
from talkinghead.errors import OptionError
from talkinghead.media.files import require_file
from talkinghead.options import EditOptions

NAMES = tuple(field.name for field in fields(EditOptions) if field.name != "keyframes")
"""The sliders, as users call them."""

_THEIR_NAMES = {
    "eyes_open": "eye_ratio",
    "lips_open": "lip_ratio",
    "pitch": "pitch_deg",
    "yaw": "yaw_deg",
    "roll": "roll_deg",
}
"""What the models call them, where it is something else."""

Keyframes = dict[Fraction, dict[str, float | None]]
"""The sliders that are named at a time in seconds; None leaves an openness as it is."""


@dataclass(frozen=True)
class Moves(PerFrame):
    """Sliders, frame by frame.

    Attributes:
        values: One column for each of `NAMES`, shape (T, 17); not-a-number where an openness stays as it is.
    """

    values: Tensor

    def __len__(self) -> int:
        return len(self.values)

    def sliders(self) -> Iterator[Sliders]:
        """Yield what a model takes, frame by frame."""
        for row in self.values.tolist():
            values = {name: None if math.isnan(value) else value for name, value in zip(NAMES, row, strict=True)}
            yield Sliders(**{_THEIR_NAMES.get(name, name): value for name, value in values.items()})  # type: ignore[arg-type]


def still_moves(options: EditOptions) -> Moves:
    """Return one frame of an edit."""
    return Moves(torch.tensor([[_number(value) for value in _start(options).values()]]))


def moves_between(keyframes: Keyframes, options: EditOptions, source: Motion, fps: Fraction) -> Moves:
    """Move every slider smoothly between the keyframes that name it.

    A slider that the first keyframe at 0 s does not name begins as the options have it; after the last keyframe
    that names it, it stays. It never leaves the range between two neighbours, and slows down at turns and ends.

    Args:
        keyframes: What `read_keyframes` returned.
        options: Where sliders begin.
        source: The face's own motion, whose openness an openness begins with that is not given.
        fps: Frames a second.

    Returns:
        Moves from 0 s to the last keyframe.
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
        columns.append(_smooth_curve([float(time) for time in points], values, times))
    return Moves(torch.from_numpy(np.stack(columns, 1)).float())


def read_keyframes(path: str | Path) -> Keyframes:
    """Read a YAML file of times in seconds, each with the sliders that have a value there.

    Raises:
        InputNotFoundError: There is no such file.
        OptionError: It is no such file, or a value does not do.
    """
    file = require_file(path, OptionError)
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise OptionError(f"{file}: not readable as YAML ({' '.join(str(error).split())[:120]})") from error
    keyframes = parse_keyframes(content, str(file))
    if not max(keyframes):
        raise OptionError(f"{file}: nothing moves, the last keyframe is at 0 s; add a later one")
    return keyframes


def parse_keyframes(content: object, file: str) -> Keyframes:
    """Check what a YAML file says about keyframes; errors begin with the file.

    Raises:
        OptionError: These are no keyframes, or a value does not do.
    """
    if not isinstance(content, Mapping) or not content:
        raise OptionError(f'{file}: holds no keyframes; write lines such as "1.5: {{smile: 0.6, yaw: 10}}"')
    return {_time(file, time): _sliders(file, time, sliders) for time, sliders in content.items()}


def _time(file: str, text: object) -> Fraction:
    try:
        time = Fraction(str(text))
    except (ValueError, ZeroDivisionError):
        time = Fraction(-1)
    if time < 0:
        raise OptionError(f"{file}: {text!r} is no time; begin every keyframe with its seconds")
    return time


def _sliders(file: str, time: object, sliders: object) -> dict[str, float | None]:
    """Check what a keyframe names by the ranges of the options."""
    if not isinstance(sliders, Mapping | None):
        raise OptionError(f"{file}, at {time} s: {sliders!r} are no sliders; give some such as {{smile: 0.6}}")
    values: dict[str, float | None] = {}
    for given, value in (sliders or {}).items():
        name = str(given).replace("-", "_")
        if name not in NAMES:
            raise OptionError(f"{file}, at {time} s: no slider is called {given!r}; there are {', '.join(NAMES)}")
        as_it_is = value is None and getattr(EditOptions, name) is None
        if not as_it_is and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise OptionError(f"{file}, at {time} s: {name} is {value!r}, it must be a number")
        try:
            replace(EditOptions(), **{name: value})
        except OptionError as error:
            raise OptionError(f"{file}, at {time} s: {error}") from None
        values[name] = value
    return values


def _start(options: EditOptions) -> dict[str, float | None]:
    return {name: value for name, value in asdict(options).items() if name in NAMES}


def _own(name: str, source: Motion) -> float:
    """Return how open the source's own eyes or lips are; not-a-number where nothing measured them."""
    ratio = {"eyes_open": source.eye_ratio, "lips_open": source.lip_ratio}.get(name)
    return math.nan if ratio is None else float(ratio.mean())


def _smooth_curve(times: list[float], values: list[float], wanted: np.ndarray) -> np.ndarray:
    """Interpolate with a curve that is smooth, stays between its points and rests at its ends."""
    if len(times) < 2:
        return np.full(len(wanted), values[0])
    with quiet_imports():
        from scipy.interpolate import CubicHermiteSpline, PchipInterpolator

    slopes = PchipInterpolator(times, values).derivative()(times)
    slopes[[0, -1]] = 0.0
    return CubicHermiteSpline(times, values, slopes)(np.clip(wanted, times[0], times[-1]))


def _number(value: float | None) -> float:
    return math.nan if value is None else value
