"""What can be wrong with a script, a voice, or the folder that a narration is made in."""

from __future__ import annotations

from liveportrait.errors import PortraitError


class ScriptError(PortraitError, ValueError):
    """A script cannot be read, or asks for what is not there."""


class SpeechError(PortraitError, RuntimeError):
    """A voice could not speak."""


class WorkFolderError(PortraitError, OSError):
    """The folder that parts are kept in cannot be used."""
