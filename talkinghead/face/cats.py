"""Find the face of a cat, for which the detectors of people's faces have no name."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np

from talkinghead.face.crop import FaceRect, Picture

_SIDE = 640
"""Longer side in pixels of the picture that is searched."""

_SURE = 2.0
"""Weight from which a detection is accepted: a cat scores 3.3, people's faces 1.3 at most (14 pictures)."""

_EYES_TO_MOUTH = 0.63
"""Size of the region from eyes to mouth, by which faces are cropped, relative to the detected square."""


@cache
def _cascade() -> cv2.CascadeClassifier:
    """Return the detector that ships with OpenCV (Joseph Howse, BSD licence)."""
    folder = Path(cv2.__file__).parent / "data"
    return cv2.CascadeClassifier(str(folder / "haarcascade_frontalcatface_extended.xml"))


def find_cat(picture: Picture) -> FaceRect | None:
    """Return the square from eyes to mouth of the clearest cat, upright, or None.

    Args:
        picture: RGB, shape (H, W, 3), uint8.
    """
    shrink = min(1.0, _SIDE / max(picture.shape[:2]))
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    small = cv2.equalizeHist(cv2.resize(gray, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA))
    boxes, _, weights = _cascade().detectMultiScale3(
        small, scaleFactor=1.05, minNeighbors=4, minSize=(48, 48), outputRejectLevels=True
    )
    if not len(boxes) or max(weights) < _SURE:
        return None
    x, y, width, height = np.array(boxes[int(np.argmax(weights))]) / shrink
    return FaceRect(np.array([x + width / 2, y + height / 2], np.float32), float(width) * _EYES_TO_MOUTH, 0.0)
