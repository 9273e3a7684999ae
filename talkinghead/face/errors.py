"""Errors about the faces in a user's picture."""

from liveportrait import PortraitError


class NoFaceError(PortraitError, ValueError):
    """No face was found in the picture."""


class FaceTooSmallError(PortraitError, ValueError):
    """The face covers too few pixels."""


class FaceIndexError(PortraitError, IndexError):
    """The picture has no face of the requested number."""
