"""What can be wrong with the faces in a user's picture."""

from liveportrait import PortraitError


class NoFaceError(PortraitError, ValueError):
    """The picture shows no face that can be animated."""


class FaceTooSmallError(PortraitError, ValueError):
    """The face covers too few pixels."""


class FaceIndexError(PortraitError, IndexError):
    """The picture has fewer faces than the number asked for."""
