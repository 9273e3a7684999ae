"""Declare options with their meaning and range, and convert values to their types."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import Field, field, fields
from functools import wraps
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from liveportrait.numerals import read_number, read_whole
from talkinghead.errors import OptionError

OptionsClass = TypeVar("OptionsClass", bound=type)

_SWITCHES = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def setting(
    default: Any,
    meaning: str,
    low: float | None = None,
    high: float | None = None,
    *,
    names_file: Callable[[str], bool] | None = None,
    former: str = "",
    flag: str = "",
) -> Any:
    """Declare a field of an options class.

    Args:
        default: Its default; None stands for a choice made later, described in `meaning`.
        meaning: One line for `--help`.
        low: Smallest value allowed.
        high: Largest value allowed.
        names_file: Returns whether a value is the path of a file or folder; None if no value is.
        former: Its name in version 0.1, which is still accepted.
        flag: Its name on the command line and in files of jobs, if that cannot be a name in Python.
    """
    metadata = {"meaning": meaning, "low": low, "high": high, "names_file": names_file, "former": former, "flag": flag}
    return field(default=default, metadata=metadata)


def former_names(*classes: type) -> dict[str, str]:
    """Return the present names of renamed options by their former names."""
    options = [option for cls in classes for option in fields(cls)]
    return {option.metadata["former"]: option.name for option in options if option.metadata["former"]}


def flags(*classes: type) -> dict[str, str]:
    """Return the names in Python of options that users call otherwise, by the users' names."""
    options = [option for cls in classes for option in fields(cls)]
    return {option.metadata["flag"]: option.name for option in options if option.metadata["flag"]}


def accept_former_names(cls: OptionsClass) -> OptionsClass:
    """Let an options class take the former names of its options too, with a warning."""
    present, make = former_names(cls), cls.__init__

    @wraps(make)
    def init(self: Any, *args: Any, **given: Any) -> None:
        for former in present.keys() & given.keys():
            name = present[former]
            warnings.warn(f"{cls.__name__}: {former} is called {name} now", FutureWarning, stacklevel=2)
            given[name] = given.pop(former)
        make(self, *args, **given)

    cls.__init__ = init
    return cls


class Checked:
    """Converts every value to its declared type and checks its range when an instance is created."""

    def __post_init__(self) -> None:
        kinds = get_type_hints(type(self))
        for option in fields(self):  # type: ignore[arg-type]
            try:
                value = _read(option, kinds[option.name], getattr(self, option.name))
            except ValueError as error:
                raise OptionError(str(error)) from None
            object.__setattr__(self, option.name, value)


def _read(option: Field[Any], kind: Any, given: Any) -> Any:
    """Return a value converted to its type; values of other types are left to the options class.

    Raises:
        ValueError: The value has another type, is out of range, or is none of the choices.
    """
    name, low, high = option.metadata["flag"] or option.name, option.metadata["low"], option.metadata["high"]
    kinds = get_args(kind) or (kind,)
    if given is None and type(None) in kinds:
        return None
    if get_origin(kind) is Literal and given not in kinds:
        raise ValueError(f"{name} {given!r} is none of {', '.join(kinds)}")
    if bool in kinds:
        return _read_switch(given, name)
    if int in kinds:
        return read_whole(given, name, low, high)
    if float in kinds:
        return float(read_number(given, name, low, high))
    return _read_text(given, name) if str in kinds else given


def _read_switch(given: Any, name: str) -> bool:
    word = str(given).strip().lower()
    if word not in _SWITCHES:
        raise ValueError(f"{name} is {given!r}, it must be true or false")
    return _SWITCHES[word]


def _read_text(given: Any, name: str) -> str:
    text = os.fspath(given) if isinstance(given, os.PathLike) else given
    if not isinstance(text, str) or "\0" in text:
        raise ValueError(f"{name} is {given!r}, it must be text")
    return text
