"""Errors that a user can cause. Each message names what was found and what to do next."""


class PortraitError(Exception):
    """Root of every error that is the input's fault, not the program's."""


class WeightsNotFoundError(PortraitError, FileNotFoundError):
    """A checkpoint is neither on disk nor to be had from the hub."""


class WeightsError(PortraitError, ValueError):
    """A checkpoint file is not what it should be: wrong hash, missing key or wrong shape."""


class TemplateError(PortraitError, ValueError):
    """A motion template cannot be read or belongs to another model."""


class LandmarksNeededError(PortraitError, ValueError):
    """How far lips or eyes are open was asked for, and nothing measured it."""
