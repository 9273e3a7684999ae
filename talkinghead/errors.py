"""Errors about the user's inputs, except those about faces (`talkinghead.face.errors`)."""

from __future__ import annotations

from liveportrait.errors import PortraitError


class OptionError(PortraitError, ValueError):
    """An option's value is out of range, or two options contradict each other."""


class ImageError(PortraitError, ValueError):
    """A picture cannot be read."""


class AudioError(PortraitError, ValueError):
    """A file has no usable sound."""


class VideoError(PortraitError, ValueError):
    """A file has no pictures that can be decoded."""


class InputNotFoundError(PortraitError, FileNotFoundError):
    """An input file does not exist."""


class OutputError(PortraitError, OSError):
    """The output cannot be written where it was asked for."""


class OutputExistsError(OutputError, FileExistsError):
    """The output exists and may not be replaced."""


class ForkError(PortraitError, RuntimeError):
    """The process was forked from one that had used the networks."""


class SessionError(PortraitError, RuntimeError):
    """A live session is closed, or its frames are being read elsewhere."""
