"""Detect faces in pictures, crop them, track them and paste them back."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from talkinghead.face.errors import FaceIndexError, FaceTooSmallError, NoFaceError

if TYPE_CHECKING:
    from talkinghead.face.crop import CropFrame, CropRule, cut, frame_face, landmarks_in_crop, make_crop
    from talkinghead.face.detect import Face, FaceDetector, choose_face
    from talkinghead.face.paste import PasteBack
    from talkinghead.face.track import FaceTracker

__all__ = [
    "CropFrame",
    "CropRule",
    "Face",
    "FaceDetector",
    "FaceIndexError",
    "FaceTooSmallError",
    "FaceTracker",
    "NoFaceError",
    "PasteBack",
    "choose_face",
    "cut",
    "frame_face",
    "landmarks_in_crop",
    "make_crop",
]

_LAZY = {
    "CropFrame": "crop",
    "CropRule": "crop",
    "Face": "detect",
    "FaceDetector": "detect",
    "FaceTracker": "track",
    "PasteBack": "paste",
    "choose_face": "detect",
    "cut": "crop",
    "frame_face": "crop",
    "landmarks_in_crop": "crop",
    "make_crop": "crop",
}


def __getattr__(name: str) -> object:
    """Import modules that need OpenCV, torch or MediaPipe on first use."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
