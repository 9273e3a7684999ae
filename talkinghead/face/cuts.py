"""Notice where a video changes from one scene to another."""

from __future__ import annotations

import cv2
import numpy as np

from talkinghead.face.crop import Array, Picture

_SIDE = 32
_UNLIKE, _CHANGE = 0.5, 12.0
"""A cut: two frames' thumbnails correlate less than this, and differ by so many gray levels on average."""
_QUIET = 64.0
"""Variance added to a thumbnail's own, so that noise on a plain ground is no change."""


class CutFinder:
    """Compares every frame with the one before."""

    def __init__(self) -> None:
        self._last: Array | None = None

    def is_cut(self, picture: Picture) -> bool:
        """Whether a picture, RGB of shape (H, W, 3), begins a new scene."""
        small = cv2.resize(picture, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
        thumbnail = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
        last, self._last = self._last, thumbnail
        if last is None or float(np.abs(thumbnail - last).mean()) < _CHANGE:
            return False
        a, b = thumbnail - thumbnail.mean(), last - last.mean()
        spread = np.sqrt((float((a * a).mean()) + _QUIET) * (float((b * b).mean()) + _QUIET))
        return bool((a * b).mean() < _UNLIKE * spread)
