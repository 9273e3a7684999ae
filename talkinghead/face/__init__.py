"""Faces in pictures: find them, crop them, paste them back."""

from talkinghead.face.crop import (
    DRIVING_CROP,
    SOURCE_CROP,
    CropFrame,
    CropRule,
    cut,
    frame_face,
    landmarks_in_crop,
    make_crop,
)
from talkinghead.face.paste import PasteBack

__all__ = [
    "DRIVING_CROP",
    "SOURCE_CROP",
    "CropFrame",
    "CropRule",
    "PasteBack",
    "cut",
    "frame_face",
    "landmarks_in_crop",
    "make_crop",
]
