"""Tell the person that is followed from others in the same video, by how the face looks in its own light."""

from __future__ import annotations

import cv2
import numpy as np

from talkinghead.face.crop import Array, CropRule, Picture, cut, frame_face

_PATCH = CropRule(size=32, scale=1.15, vy_ratio=0.0)
_COLOR = 2.0
"""Weight of colour against light and shade, which change with every turn of the head."""

_MEMORY, _SPREAD_MEMORY = 0.05, 0.05
"""Shares of a new frame in what is remembered."""

_MARGIN = 0.15
"""How much less than usual a face may look like itself and still be taken for itself.

Seen on 11 clips of 11 people: one person's faces of different moments correlate by 0.85 to 1 (median 0.95), two
people's by 0.73 in the median and 0.89 in the closest pair of a hundred.
"""


class FaceIdentity:
    """Remembers one face from frame to frame; knows how much it usually looks like itself."""

    def __init__(self) -> None:
        self._mean: Array | None = None
        self._usual = 1.0

    def learn(self, picture: Picture, points: Array) -> None:
        """Remember the face at some landmarks, shape (478, 3), as the one that is followed."""
        look = _look(picture, points)
        if self._mean is None:
            self._mean = look
            return
        self._usual += _SPREAD_MEMORY * (_alike(self._mean, look) - self._usual)
        self._mean = self._mean + np.float32(_MEMORY) * (look - self._mean)

    def margin(self, picture: Picture, points: Array) -> float:
        """Return by how much a face is alike enough; below zero it is somebody else's."""
        if self._mean is None:
            return 0.0
        return _alike(self._mean, _look(picture, points)) - self._usual + _MARGIN


def _look(picture: Picture, points: Array) -> Array:
    """Return the face upright and small: luma of mean 0 and spread 1, and colour, shape (32 · 32 · 3,)."""
    patch = cut(picture, frame_face(points, _PATCH), smooth=False)
    lab = cv2.cvtColor(patch, cv2.COLOR_RGB2LAB).astype(np.float32) - 128
    luma = lab[..., 0] - lab[..., 0].mean()
    lab[..., 0] = luma * (25 / max(float(luma.std()), 1.0))
    lab[..., 1:] *= _COLOR
    return lab.ravel()


def _alike(a: Array, b: Array) -> float:
    """Return the cosine between two looks."""
    return float(a @ b) / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-6)
