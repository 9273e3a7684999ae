"""Errors caused by user input. Each message says what was found and what to do next."""


class PortraitError(Exception):
    """Base class of all errors caused by user input."""


class WeightsNotFoundError(PortraitError, FileNotFoundError):
    """A checkpoint is neither on disk nor available from the hub."""


class WeightsError(PortraitError, ValueError):
    """A checkpoint file is invalid: wrong hash, missing key or wrong shape."""


class TemplateError(PortraitError, ValueError):
    """A motion template cannot be read or belongs to another model."""


class LandmarksNeededError(PortraitError, ValueError):
    """An operation needs the openness of lips or eyes, which was not measured."""
