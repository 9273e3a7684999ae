"""Separate a person from the background: MediaPipe's selfie segmentation, refined along the picture's edges."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from talkinghead.face.landmarks import PersonFinder
from talkinghead.media.image import Picture
from talkinghead.source.dubbed import DubbedVideo
from talkinghead.source.image import ImageSource

Mask = NDArray[np.float32]

_EDGE = 1 / 60
"""Radius of the refinement, relative to the shorter side."""
_SMOOTH = 1e-4
_LOW, _HIGH = 0.4, 0.95
"""Probabilities that are mapped to 0 and 1; those between stay soft."""


class Matte:
    """Computes the alpha channel of a portrait.

    The picture around the animated face never changes, so it is segmented only once, and its edges cannot flicker.
    """

    def __init__(self, source: ImageSource | DubbedVideo, crop_size: int, *, cropped: bool) -> None:
        """Segment the source picture.

        Args:
            source: The portrait; a video is segmented anew in every frame.
            crop_size: Side of the rendered crops.
            cropped: Whether only the crop is shown.
        """
        self._person = PersonFinder()
        self._face_mask: Mask | None = None
        if isinstance(source, ImageSource) and not cropped:
            white = np.full((crop_size, crop_size, 3), 255, np.uint8)
            pasted = source.place(white, np.zeros_like(source.picture))
            self._face_mask = pasted[..., 0].astype(np.float32) / 255
            self._still = self._segment(source.picture)

    def alpha(self, picture: Picture) -> Mask:
        """Return the person's opacity in one of its pictures, 0 to 1, shape (H, W)."""
        current = self._segment(picture)
        return current if self._face_mask is None else self._still + (current - self._still) * self._face_mask

    def _segment(self, picture: Picture) -> Mask:
        rough = self._person.find(picture)
        radius = max(round(min(picture.shape[:2]) * _EDGE), 2)
        guide = picture.astype(np.float32) / 255
        fine = cv2.ximgproc.guidedFilter(guide, rough, radius, _SMOOTH)
        return ((fine - _LOW) / (_HIGH - _LOW)).clip(0, 1)
