"""The part of a face that a new voice changes: where it lies, and how well it shows the teeth."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from liveportrait.mini.regions import JAW, LIPS_INNER
from talkinghead.face.crop import Array, CropFrame, face_rect, landmarks_in_crop
from talkinghead.media.image import Picture

_NOSE_TOP = 195
_LOWER_FACE = (*JAW[2:-2], _NOSE_TOP)
"""Outline of the lower face: the jaw from below one ear to below the other, and the bridge of the nose."""

_MARGIN, _SOFTNESS = 0.05, 0.03
"""How far the area reaches beyond the lower face, and the deviation of its soft edge, in units of the crop."""


def mouth_mask(frame: CropFrame, points: Array, size: int = 256) -> NDArray[np.uint8]:
    """Draw the area that the new mouth may change, for `PasteBack`.

    Args:
        frame: The crop.
        points: Face-mesh points in the picture, shape (478, 3).
        size: Side of the mask in pixels.

    Returns:
        Weight of the crop, 0 to 255, shape (size, size).
    """
    outline = (landmarks_in_crop(points[list(_LOWER_FACE)], frame)[:, :2] + 1) * (size / 2)
    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [np.rint(outline).astype(np.int32)], (255,))
    reach = 2 * round(_MARGIN * size) + 1
    mask = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    mask = cv2.GaussianBlur(mask, (0, 0), _SOFTNESS * size)
    mask[[0, -1]] = mask[:, [0, -1]] = 0  # where the face touches the crop's edge
    return mask  # type: ignore[return-value]


def teeth_score(picture: Picture, points: Array) -> float:
    """Return how much brightness the open mouth shows: its mean times the opening's area, over the face's."""
    lips = points[list(LIPS_INNER), :2]
    height, width = picture.shape[:2]
    left, top = np.clip(np.floor(lips.min(0)).astype(int), 0, (width - 1, height - 1))
    right, bottom = np.clip(np.ceil(lips.max(0)).astype(int) + 1, (left + 1, top + 1), (width, height))
    inside = np.zeros((bottom - top, right - left), np.uint8)
    cv2.fillPoly(inside, [np.rint(lips - (left, top)).astype(np.int32)], (1,))
    shown = picture[top:bottom, left:right].mean(2, dtype=np.float32) * inside
    return float(shown.sum() / 255) / face_rect(points, 1.0, 0.0).size ** 2
