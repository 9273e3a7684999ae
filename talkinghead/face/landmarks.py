"""Wrap MediaPipe's face models for square pictures; no other module imports MediaPipe.

The pictures must be square: on others MediaPipe shears the mesh of a tilted face, because it turns points in units of
the picture's sides. `talkinghead.face.detect` and `talkinghead.face.track` cut squares and map the points back.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from liveportrait.imports import quiet_imports
from talkinghead.face.crop import Array, FaceRect, Picture, face_rect
from talkinghead.host.forks import check_process


class Detection(NamedTuple):
    """A face found by a detector: the square around it, turned with its eyes, and a score from 0 to 1."""

    rect: FaceRect
    score: float


class Graph:
    """One of MediaPipe's graphs, used by one thread at a time and closed with its owner.

    MediaPipe itself never closes a graph, because a graph and its callbacks hold each other.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        """Start the graph.

        Args:
            make: Creates one of `mediapipe.solutions`.
        """
        check_process()
        self._make, self._lock = make, threading.Lock()
        self._start()

    def process(self, picture: Picture) -> Any:
        """Process a picture; a graph that fails is replaced, because it would fail again."""
        check_process()
        with self._lock:
            try:
                return self._solution.process(picture)
            except Exception:
                self.close()
                self._start()
                raise

    def close(self) -> None:
        """End its threads and free its memory; it cannot be used afterwards."""
        self._finalizer()

    def _start(self) -> None:
        self._solution = self._make()
        self._finalizer = weakref.finalize(self, _close, self._solution, os.getpid())
        self._finalizer.atexit = False


class BoxFinder:
    """Detects faces in square pictures with MediaPipe's two BlazeFace detectors, for near and for distant faces."""

    def __init__(self, min_score: float = 0.3):
        detection = _solutions().face_detection.FaceDetection
        self._graphs = [Graph(partial(detection, min_score, model_selection=model)) for model in (0, 1)]

    def find(self, view: Picture) -> list[Detection]:
        """Detect faces in a view, shape (S, S, 3); rects are in its pixels, and one face may be reported twice."""
        results = (graph.process(view).detections or [] for graph in self._graphs)
        return [_detection(detection, len(view)) for found in results for detection in found]

    def close(self) -> None:
        """Free its memory and threads; it cannot be used afterwards."""
        for graph in self._graphs:
            graph.close()


class FaceMesh:
    """Fits the 478-point mesh to the face in a square picture, starting from the previous fit."""

    def __init__(self, min_presence: float = 0.5):
        self._graph = Graph(
            partial(
                _solutions().face_mesh.FaceMesh,
                static_image_mode=False,
                max_num_faces=1,
                refine_landmarks=True,
                min_detection_confidence=0.2,
                min_tracking_confidence=min_presence,
            )
        )
        self.restart()

    def restart(self) -> None:
        """Forget the previous fit, by processing a blank picture."""
        self._graph.process(_BLANK)

    def close(self) -> None:
        """Free its memory and threads; it cannot be used afterwards."""
        self._graph.close()

    def track(self, view: Picture) -> Array | None:
        """Fit the mesh once.

        Args:
            view: RGB, shape (S, S, 3).

        Returns:
            Points in pixels of the view, shape (478, 3), pixel centres at whole numbers, z in the scale of x; None
            if no face was found.
        """
        found = self._graph.process(view).multi_face_landmarks
        if not found:
            return None
        points = np.array([(p.x, p.y, p.z) for p in found[0].landmark], np.float32)
        return points * len(view)

    def settle(self, view: Picture, max_steps: int = 10) -> Array | None:
        """Fit the mesh from scratch until it converges.

        The first fit starts from a detector's box and is off by about 1 % of the face; each further one starts from the
        fit before.
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
    """Separates people from the background with MediaPipe's selfie segmentation."""

    def __init__(self):
        self._graph = Graph(partial(_solutions().selfie_segmentation.SelfieSegmentation, model_selection=0))

    def find(self, picture: Picture) -> Array:
        """Return the probability that each pixel shows a person, shape (H, W), for a picture of any shape."""
        return np.array(self._graph.process(np.ascontiguousarray(picture)).segmentation_mask, np.float32)


_BLANK = np.zeros((64, 64, 3), np.uint8)


def _detection(detection: Any, size: int) -> Detection:
    """Convert MediaPipe's box and eye points to a detection."""
    box = detection.location_data.relative_bounding_box
    left_eye, right_eye = detection.location_data.relative_keypoints[:2]
    angle = float(np.arctan2(right_eye.y - left_eye.y, right_eye.x - left_eye.x))
    center = np.array([box.xmin + box.width / 2, box.ymin + box.height / 2], np.float32) * size
    return Detection(FaceRect(center, float(max(box.width, box.height)) * size, angle), float(detection.score[0]))


def _solutions() -> Any:
    with quiet_imports():
        import mediapipe

    return mediapipe.solutions  # type: ignore[attr-defined]


def _close(solution: Any, process: int) -> None:
    """Close a graph, except in a forked process, where closing would wait for threads that do not exist."""
    if os.getpid() == process:
        solution.close()
