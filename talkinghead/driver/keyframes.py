"""Keyframes: slider values by time in seconds, from a YAML file or from a line of a script."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from liveportrait.numerals import DAY_SECONDS, read_number
from talkinghead.driver.sliders import NAMES, Keyframes
from talkinghead.errors import OptionError
from talkinghead.inputs.schema import check
from talkinghead.inputs.yaml_files import read_document
from talkinghead.options import EditOptions

_CLOSEST = Fraction(1, 10**6)
"""Shortest time between two keyframes, in seconds."""


def read_keyframes(path: str | Path) -> Keyframes:
    """Read a YAML file that maps times in seconds to slider values.

    Raises:
        InputNotFoundError: The file does not exist.
        OptionError: The file is not of this kind, or a value is out of range.
    """
    document = read_document(path, OptionError)
    if not document.content:
        raise OptionError(f'{document.file}: has no keyframes; write lines such as "1.5: {{smile: 0.6, yaw: 10}}"')
    keyframes = check(TimedSliders, document, OptionError)
    if not max(keyframes):
        raise OptionError(f"{document.file}: nothing moves, the last keyframe is at 0 s; add a later one")
    return keyframes


def _read_sliders(given: dict[str, Any] | None) -> dict[str, float | None]:
    """Check the names and values of a keyframe's sliders."""
    values: dict[str, float | None] = {}
    for given_name, value in (given or {}).items():
        name = given_name.replace("-", "_")
        if name not in NAMES:
            raise ValueError(f"no slider is called {given_name!r}; there are {', '.join(NAMES)}")
        if name in values:
            raise ValueError(f"{name} is given twice; leave one of them out")
        values[name] = getattr(EditOptions(**{name: value}), name)
    return values


def _read_times(given: dict[str, dict[str, float | None]]) -> Keyframes:
    keyframes = [(read_number(time, "time", 0, DAY_SECONDS), sliders) for time, sliders in given.items()]
    times = sorted(time for time, _ in keyframes)
    for before, after in pairwise(times if not times[0] else [Fraction(0), *times]):
        if after - before < _CLOSEST:
            raise ValueError(f"two keyframes at {float(after):g} s; leave one of them out")
    return dict(keyframes)


Sliders = Annotated[dict[str, Any] | None, AfterValidator(_read_sliders)]
TimedSliders = Annotated[dict[str, Sliders], Field(min_length=1), AfterValidator(_read_times)]
"""The schema of keyframes."""
