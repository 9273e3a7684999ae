"""Keyframes: sliders by seconds, in a YAML file of their own or in a line of a script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from liveportrait.numerals import DAY_SECONDS, read_number
from talkinghead.errors import OptionError
from talkinghead.inputs.schema import check
from talkinghead.inputs.yaml_files import read_document
from talkinghead.options import EditOptions

NAMES = tuple(field.name for field in fields(EditOptions) if field.name != "keyframes")
"""The sliders, as users call them."""

Keyframes = Mapping[Fraction, Mapping[str, float | None]]
"""The sliders that are named at a time in seconds; None leaves an openness as it is."""

_CLOSEST = Fraction(1, 10**6)
"""Seconds that two keyframes must be apart."""


def read_keyframes(path: str | Path) -> Keyframes:
    """Read a YAML file of times in seconds, each with the sliders that have a value there.

    Raises:
        InputNotFoundError: There is no such file.
        OptionError: It is no such file, or a value does not do.
    """
    document = read_document(path, OptionError)
    if not document.content:
        raise OptionError(f'{document.file}: holds no keyframes; write lines such as "1.5: {{smile: 0.6, yaw: 10}}"')
    keyframes = check(TimedSliders, document, OptionError)
    if not max(keyframes):
        raise OptionError(f"{document.file}: nothing moves, the last keyframe is at 0 s; add a later one")
    return keyframes


def _read_sliders(given: dict[str, Any] | None) -> dict[str, float | None]:
    """Check what a keyframe names by the ranges of the options."""
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
