"""Parse numbers from users and files, with bounds."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from numbers import Integral, Rational, Real

DAY_SECONDS = 24 * 60 * 60
"""Upper limit of all durations."""

_DECIMAL = re.compile(r"[+-]?(?:\d{1,40}\.?\d{0,40}|\.\d{1,40})(?:[eE][+-]?\d{1,3})?", re.ASCII)
_RATIO = re.compile(r"[+-]?\d{1,40}/\d{1,40}", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,40}", re.ASCII)


def read_number(value: object, name: str, low: float | None = None, high: float | None = None) -> Fraction:
    """Parse a number.

    Args:
        value: A number, or a string such as "25", "-0.5", "1e3" or "30000/1001".
        name: Name for messages.
        low: Minimum value.
        high: Maximum value.

    Raises:
        ValueError: `value` is not a finite number, or out of range.
    """
    try:
        number = _fraction(value)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ValueError(f"{name} {value!r} is not a number") from None
    _check_range(number, value, name, low, high)
    return number


def read_whole(value: object, name: str, low: float | None = None, high: float | None = None) -> int:
    """Parse a whole number; see `read_number`.

    Raises:
        ValueError: `value` is not a whole number, or out of range.
    """
    text = value.strip() if isinstance(value, str) else None
    if isinstance(value, bool) or not (isinstance(value, Integral) if text is None else _WHOLE.fullmatch(text)):
        raise ValueError(f"{name} {value!r} is not a whole number")
    number = int(value)  # type: ignore[call-overload]
    _check_range(number, value, name, low, high)
    return number


def _fraction(value: object) -> Fraction:
    if isinstance(value, bool):
        raise ValueError
    if isinstance(value, Rational):
        return Fraction(int(value.numerator), int(value.denominator))
    if isinstance(value, Real):
        return Fraction(float(value))
    text = value.strip() if isinstance(value, str) else ""
    if not (_DECIMAL.fullmatch(text) or _RATIO.fullmatch(text)):
        raise ValueError
    return Fraction(text)


def _check_range(number: Fraction | int, given: object, name: str, low: float | None, high: float | None) -> None:
    if (low is None or number >= low) and (high is None or number <= high):
        return
    if low is None or high is None:
        allowed = f"at most {_plain(high)}" if low is None else f"at least {_plain(low)}"
    else:
        allowed = f"between {_plain(low)} and {_plain(high)}"
    raise ValueError(f"{name} is {given}, it must be {allowed}")


def _plain(bound: float | None) -> str:
    """Format a bound without an exponent."""
    assert bound is not None
    return str(int(bound)) if math.isfinite(bound) and bound == int(bound) else f"{bound:g}"
