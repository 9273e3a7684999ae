"""Weights of losses, read from YAML."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TypeVar

import yaml

from liveportrait.training.loop import TrainingError

Weights = TypeVar("Weights")


def read_numbers(kind: type[Weights], file: Path) -> Weights:
    """Read a dataclass of numbers, all of which the file must give.

    Raises:
        TrainingError: The file cannot be read, or its names are not those of the dataclass.
    """
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise TrainingError(f"{file}: not readable as YAML ({str(error).splitlines()[0]})") from error
    known = {one.name for one in fields(kind)}  # type: ignore[arg-type]
    if not isinstance(values, dict) or set(values) != known:
        raise TrainingError(f"{file}: expected the weights {', '.join(sorted(known))} and no others")
    wrong = [name for name, value in values.items() if not isinstance(value, int | float) or isinstance(value, bool)]
    if wrong:
        raise TrainingError(f"{file}: {wrong[0]} is {values[wrong[0]]!r}, expected a number")
    return kind(**{name: float(value) for name, value in values.items()})
