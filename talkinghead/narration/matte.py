"""Which pixels are the person: MediaPipe's selfie segmentation, its edges laid on those of the picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from talkinghead.face.landmarks import PersonFinder
from talkinghead.media.image import Picture
from talkinghead.source.image import ImageSource

Mask = NDArray[np.float32]

_EDGE = 1 / 60
"""How far an edge may be moved to that of the picture, in parts of the shorter side."""
_SMOOTH = 1e-4
_LOW, _HIGH = 0.4, 0.95
"""What the network is this unsure or sure of is taken for none or all; the rest of an edge keeps its softness."""


class Matte:
    """Tells a portrait from what is behind it.

    The picture around the moving face never changes, so it is looked at once, and only the face again in every frame:
    edges that do not move cannot flicker.
    """

    def __init__(self, source: ImageSource, crop_size: int, *, cropped: bool) -> None:
        """Look at the source picture.

        Args:
            source: The portrait.
            crop_size: Side of the crops that are rendered.
            cropped: Whether the crop is all that is shown.
        """
        self._person = PersonFinder()
        self._moves: Mask | None = None
        if not cropped:
            white = np.full((crop_size, crop_size, 3), 255, np.uint8)
            pasted = source.place(white, np.zeros_like(source.picture))
            self._moves = pasted[..., 0].astype(np.float32) / 255
            self._still = self._segment(source.picture)

    def alpha(self, picture: Picture) -> Mask:
        """Return how much of each pixel of one of its pictures is the person, 0 to 1, shape (H, W)."""
        seen = self._segment(picture)
        return seen if self._moves is None else self._still + (seen - self._still) * self._moves

    def _segment(self, picture: Picture) -> Mask:
        rough = self._person.find(picture)
        radius = max(round(min(picture.shape[:2]) * _EDGE), 2)
        guide = picture.astype(np.float32) / 255
        fine = cv2.ximgproc.guidedFilter(guide, rough, radius, _SMOOTH)
        return ((fine - _LOW) / (_HIGH - _LOW)).clip(0, 1)
