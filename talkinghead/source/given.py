"""Read the source as a caller of the library gives it: a path, or a picture as an array."""

from __future__ import annotations

import os

from talkinghead.media.image import Picture, check_picture, read_image
from talkinghead.media.video import VideoFile, read_picture_or_video
from talkinghead.options import StrPath

_ARRAY = "the picture"
"""The name of a picture in messages if it is an array."""


def read_picture(source: StrPath | Picture) -> tuple[Picture, str]:
    """Return a picture and its name in messages.

    Raises:
        PortraitError: The picture cannot be read.
    """
    if isinstance(source, str | os.PathLike):
        return read_image(source), str(source)
    return check_picture(source), _ARRAY


def read_moving(source: StrPath | Picture) -> Picture | VideoFile:
    """Return a picture, or a video that has been opened but not decoded."""
    if not isinstance(source, str | os.PathLike):
        return check_picture(source)
    return read_picture_or_video(source)


def name_of(source: StrPath | Picture) -> str:
    """Return a source's name in messages."""
    return str(source) if isinstance(source, str | os.PathLike) else _ARRAY
