"""MediaPipe's face models, called with square pictures; the one place that knows MediaPipe.

The pictures must be square: on others MediaPipe shears the mesh of a tilted face, because it turns points in units of
the picture's sides. `talkinghead.face.detect` and `talkinghead.face.track` cut squares and map the points back.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import numpy as np

from liveportrait.imports import quiet_imports
from talkinghead.face.crop import Array, FaceRect, Picture, face_rect


class Sighting(NamedTuple):
    """A face found by a detector: the square around it, turned with its eyes, and a score from 0 to 1."""

    rect: FaceRect
    score: float


class BoxFinder:
    """Finds faces in square pictures with the two BlazeFace detectors: one for near faces, one for far ones."""

    def __init__(self, min_score: float = 0.3):
        with _quiet():
            detection = _solutions().face_detection.FaceDetection
            self._near, self._far = (detection(min_score, model_selection=model) for model in (0, 1))
            self.find(_BLANK)

    def find(self, view: Picture) -> list[Sighting]:
        """Find faces in a view, shape (S, S, 3); the rects are in its pixels. Both detectors may report one face."""
        results = (model.process(view).detections or [] for model in (self._near, self._far))
        return [_sighting(detection, len(view)) for found in results for detection in found]


class FaceMesh:
    """Fits the 478-point mesh to the face in a square picture, starting from where it was in the one before."""

    _warned = False  # the first face of a process makes MediaPipe warn about pictures that are not square

    def __init__(self, min_presence: float = 0.5):
        with _quiet():
            self._model = _solutions().face_mesh.FaceMesh(
                static_image_mode=False,
                max_num_faces=1,
                refine_landmarks=True,
                min_detection_confidence=0.2,
                min_tracking_confidence=min_presence,
            )
            self.restart()

    def restart(self) -> None:
        """Forget where the face was: a blank picture loses it."""
        self._model.process(_BLANK)

    def track(self, view: Picture) -> Array | None:
        """Fit the mesh once.

        Args:
            view: RGB, shape (S, S, 3).

        Returns:
            Points in pixels of the view, shape (478, 3), pixel centres at whole numbers, z in the scale of x; None
            where no face is seen.
        """
        found = self._process(view).multi_face_landmarks
        if not found:
            return None
        FaceMesh._warned = True
        points = np.array([(p.x, p.y, p.z) for p in found[0].landmark], np.float32)
        return points * len(view)

    def _process(self, view: Picture) -> Any:
        with nullcontext() if FaceMesh._warned else _quiet():
            return self._model.process(view)

    def settle(self, view: Picture, max_steps: int = 10) -> Array | None:
        """Fit the mesh anew until it rests: each fit starts from the points of the one before.

        The first fit starts from a detector's box and is off by about 1 % of the face.
        """
        self.restart()
        before = None
        for _ in range(max_steps):
            points = self.track(view)
            if points is None:
                return None
            if before is not None and np.abs(points - before).mean() < 5e-4 * face_rect(points, 1.0).size:
                return points
            before = points
        return before


class PersonFinder:
    """Tells people from what is behind them, with the selfie segmentation that MediaPipe carries."""

    def __init__(self):
        with _quiet():
            self._model = _solutions().selfie_segmentation.SelfieSegmentation(model_selection=0)
            self._model.process(_BLANK)

    def find(self, picture: Picture) -> Array:
        """Return how likely each pixel is a person, 0 to 1, shape (H, W), from a picture of any shape."""
        return np.array(self._model.process(np.ascontiguousarray(picture)).segmentation_mask, np.float32)


_BLANK = np.zeros((64, 64, 3), np.uint8)


def _sighting(detection: Any, size: int) -> Sighting:
    """Turn MediaPipe's box and eye points into a rect."""
    box = detection.location_data.relative_bounding_box
    left_eye, right_eye = detection.location_data.relative_keypoints[:2]
    angle = float(np.arctan2(right_eye.y - left_eye.y, right_eye.x - left_eye.x))
    center = np.array([box.xmin + box.width / 2, box.ymin + box.height / 2], np.float32) * size
    return Sighting(FaceRect(center, float(max(box.width, box.height)) * size, angle), float(detection.score[0]))


def _solutions() -> Any:
    os.environ.setdefault("GLOG_minloglevel", "3")
    with quiet_imports():
        import mediapipe

    return mediapipe.solutions  # type: ignore[attr-defined]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what native code prints while models are loaded off the terminal; no environment variable does."""
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
