"""Read the values of options that are given as text: boxes, times, frame rates, regions, faces with drivers."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal, NamedTuple

from liveportrait.numerals import DAY_SECONDS, read_number, read_whole
from talkinghead.errors import OptionError

FilePath = str | os.PathLike[str]

_FARTHEST = 1e6
"""Pixels, the most that a part of a picture may be away or long."""

SLOWEST_FPS, FASTEST_FPS = 1, 120
"""Frames a second that a video may have."""

Part = Literal["head", "lips", "eyes", "brows", "face"]
_FACE: tuple[Part, ...] = ("lips", "eyes", "brows", "face")
REGIONS: dict[str, tuple[Part, ...]] = {
    "all": ("head", *_FACE),
    "exp": _FACE,
    "pose": ("head",),
    "lip": ("lips",),
    "eyes": ("eyes",),
    "brows": ("brows",),
}
"""What each region's name stands for."""


class PixelBox(NamedTuple):
    """A part of a picture, in pixels.

    Attributes:
        left: From the left edge of the picture.
        top: From its upper edge.
        width: Of the part.
        height: Of the part.
    """

    left: float
    top: float
    width: float
    height: float


class Trim(NamedTuple):
    """A part of a video.

    Attributes:
        start: Seconds from its beginning.
        end: Seconds from its beginning, or None for its end.
    """

    start: Fraction
    end: Fraction | None


def parse_fps(given: object) -> Fraction:
    """Read a frame rate: 25, "30000/1001", or a rounded broadcast rate such as "29.97" or "23.976".

    Raises:
        OptionError: This is not a number, or no video has so many or so few frames.
    """
    try:
        fps = read_number(given, "fps", SLOWEST_FPS, FASTEST_FPS)
    except ValueError as error:
        raise OptionError(f"{error}: give a frame rate such as 25, 29.97 or 30000/1001") from None
    for whole in (24, 30, 48, 60, 120):
        broadcast = Fraction(whole * 1000, 1001)
        if abs(fps / broadcast - 1) < Fraction(1, 5000):
            return broadcast
    return fps.limit_denominator(1001)


def parse_region(text: str) -> frozenset[Part]:
    """Read a region: names of `REGIONS` joined by + and -.

    Raises:
        OptionError: A name is unknown, or nothing is left.
    """
    parts: set[Part] = set()
    for sign, name in re.findall(r"([+-]?)([^+-]*)", "".join(text.split())):
        if not sign and not name:
            continue
        if name not in REGIONS:
            raise OptionError(f"region {text!r}: {name!r} is none of {', '.join(REGIONS)}; join them by + and -")
        (parts.difference_update if sign == "-" else parts.update)(REGIONS[name])
    if not parts:
        raise OptionError(f"region {text!r} leaves nothing that could move: give all, lip+eyes, all-lip ...")
    return frozenset(parts)


def parse_box(given: object) -> PixelBox:
    """Read a part of a picture: "X,Y,WIDTH,HEIGHT" in pixels.

    Raises:
        OptionError: These are not four numbers, or nothing lies inside.
    """
    parts = given.split(",") if isinstance(given, str) else given if isinstance(given, list | tuple) else ()
    least = (-_FARTHEST, -_FARTHEST, 1, 1)
    try:
        return PixelBox(
            *(float(read_number(part, "box", low, _FARTHEST)) for part, low in zip(parts, least, strict=True))
        )
    except ValueError:
        raise OptionError(
            f"box {given!r} is no part of a picture: give X,Y,WIDTH,HEIGHT in pixels, such as 40,0,300,300"
        ) from None


def assign_drivers(
    faces: Sequence[str], driver: FilePath | None, what: str = "driver", kinds: str = "a video, a picture or a template"
) -> dict[int | None, FilePath]:
    """Read who follows whom.

    Args:
        faces: "N" or "N=DRIVER" for each face that moves.
        driver: What those follow that name no driver; the largest face if none are named.
        what: What a driver is called in messages.
        kinds: What a driver may be, in messages.

    Returns:
        The driver of each face; None stands for the largest face.

    Raises:
        OptionError: A face is no number or named twice, or a driver is missing or left over.
    """
    form = f"N={what.upper()}"
    assigned: dict[int | None, FilePath | None] = {}
    for text in faces:
        number, _, own = text.partition("=")
        try:
            face = read_whole(number, "face", 0)
        except ValueError:
            face = None
        if face is None or face in assigned:
            raise OptionError(f"--face {text!r}: give every face once, counted from 0 at the left, as N or {form}")
        assigned[face] = own or driver
    assigned = assigned or {None: driver}
    if None in assigned.values():
        raise OptionError(f"a {what} is missing: give {kinds}, or --face {form}")
    if driver is not None and driver not in assigned.values():
        raise OptionError(f"{driver}: no face follows it, each --face has its own {what}; leave it out")
    return {number: own for number, own in assigned.items() if own is not None}


def parse_trim(given: object) -> Trim:
    """Read a part of a video: "START:END" in seconds, either left out for the beginning or the end.

    Raises:
        OptionError: These are not two times, or not in this order.
    """
    first, colon, last = (given or ":").partition(":") if isinstance(given, str) else ("", "", "")
    try:
        start = read_number(first or 0, "trim", 0, DAY_SECONDS)
        end = read_number(last, "trim", 0, DAY_SECONDS) if last else None
    except ValueError:
        start, end = Fraction(0), Fraction(0)
    if not colon or (end is not None and end <= start):
        raise OptionError(f"trim {given!r} is no part of a video: give START:END in seconds, such as 2:5.5, 2: or :5.5")
    return Trim(start, end)
