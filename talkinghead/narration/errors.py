"""Errors about scripts, voices and work folders."""

from __future__ import annotations

from liveportrait.errors import PortraitError


class ScriptError(PortraitError, ValueError):
    """A script cannot be read, or refers to something that does not exist."""


class SpeechError(PortraitError, RuntimeError):
    """A speech engine failed."""


class WorkFolderError(PortraitError, OSError):
    """The work folder cannot be used."""
