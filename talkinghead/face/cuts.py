"""Detect cuts in a video."""

from __future__ import annotations

import cv2
import numpy as np

from talkinghead.face.crop import Array, Picture

_SIDE = 32
_UNLIKE, _CHANGE = 0.5, 12.0
"""At a cut, thumbnails of two frames correlate less than this and differ by at least so many gray levels on average."""
_QUIET = 64.0
"""Variance added to that of thumbnails, so that noise on a plain background is not a cut."""


class CutFinder:
    """Compares every frame with the previous one."""

    def __init__(self) -> None:
        self._last: Array | None = None

    def is_cut(self, picture: Picture) -> bool:
        """Return whether the next picture, RGB of shape (H, W, 3), is the first after a cut."""
        small = cv2.resize(picture, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
        thumbnail = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
        last, self._last = self._last, thumbnail
        if last is None or float(np.abs(thumbnail - last).mean()) < _CHANGE:
            return False
        a, b = thumbnail - thumbnail.mean(), last - last.mean()
        spread = np.sqrt((float((a * a).mean()) + _QUIET) * (float((b * b).mean()) + _QUIET))
        return bool((a * b).mean() < _UNLIKE * spread)
