"""Track one face through the frames of a video."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from talkinghead.face.crop import Array, CropFrame, FaceRect, Picture, cut, face_rect
from talkinghead.face.cuts import CutFinder
from talkinghead.face.detect import FaceDetector
from talkinghead.face.identity import FaceIdentity
from talkinghead.face.landmarks import FaceMesh

_WINDOW_SIZE = 384
_WINDOW_SCALE = 3.0
"""Size in pixels of the window that the mesh is fitted in, and its side in units of the face.

The window stays at its place until the face leaves its middle.
"""

_QUICK = 0.03
"""Movement between frames, in units of the face, above which the mesh is fitted twice."""


_LEAP, _GROWTH = 0.6, 1.6
"""Movement (in units of the face) and growth between frames above which the mesh has jumped to another face."""


class FaceTracker:
    """Fits the mesh frame by frame, starting from the previous fit; detects the face again when it is lost.

    It tracks one person: after a loss, a jump or a cut it takes the face that is most similar to the one tracked
    before, and none if no face is similar enough.

    Attributes:
        is_cut: Whether the last picture was the first after a cut.
    """

    def __init__(self, detector: FaceDetector | None = None):
        self._detector = detector or FaceDetector()
        self._owns_detector = detector is None
        self._mesh = FaceMesh()
        self._window: CropFrame | None = None
        self._last: Array | None = None  # the points in the window
        self._seen: Array | None = None  # the points in the last picture that showed the face
        self._identity = FaceIdentity()
        self._cuts = CutFinder()
        self.is_cut = False

    def close(self) -> None:
        """Free its memory and threads; it cannot be used afterwards."""
        self._mesh.close()
        if self._owns_detector:
            self._detector.close()

    def start(self, picture: Picture, landmarks: Array) -> None:
        """Choose the face to track.

        Args:
            picture: RGB, shape (H, W, 3), uint8.
            landmarks: The face's points in it, shape (478, 3).
        """
        self._seen = landmarks
        self._identity.learn(picture, landmarks)
        self._open_window(picture, landmarks)

    def follow(self, pictures: Iterable[Picture]) -> Iterator[Array | None]:
        """Yield `track` of every picture."""
        return map(self.track, pictures)

    def track(self, picture: Picture) -> Array | None:
        """Fit the mesh to the next frame.

        Args:
            picture: RGB, shape (H, W, 3), uint8.

        Returns:
            Face-mesh points in pixels of the picture, shape (478, 3), z in the scale of x; None if no face was found.
        """
        self.is_cut = self._cuts.is_cut(picture)
        points = None if self.is_cut else self._fit(picture)
        if points is None or self._jumped(points):
            points = self._find(picture)
        elif not self._in_middle(points):
            moved = self._open_window(picture, points)
            points = points if moved is None else moved
        if points is not None:
            self._seen = points
            self._identity.learn(picture, points)
        return points

    def _fit(self, picture: Picture) -> Array | None:
        """Fit the mesh in the window; twice after a quick movement, because one fit lags behind."""
        if self._window is None:
            return None
        view = cut(picture, self._window, smooth=False)
        points = self._mesh.track(view)
        if points is not None and self._last is not None and _moved(points, self._last) > _QUICK:
            points = self._mesh.track(view)
        self._last = points
        return None if points is None else self._window.points_to_image(points)

    def _find(self, picture: Picture) -> Array | None:
        """Detect the face in the whole picture: the largest at first, later the most similar one."""
        self._window = None
        faces = self._detector.detect(picture, thorough=False)
        if self._seen is None:
            chosen = max(faces, key=lambda face: face.size, default=None)
        else:
            margins = [self._identity.margin(picture, face.landmarks) for face in faces]
            best = max(range(len(faces)), key=margins.__getitem__, default=None)
            chosen = None if best is None or margins[best] < 0 else faces[best]
        return None if chosen is None else self._open_window(picture, chosen.landmarks)

    def _jumped(self, points: Array) -> bool:
        """Return whether the mesh has jumped to another face."""
        if self._seen is None:
            return False
        now, before = face_rect(points, 1.0, 0.0), face_rect(self._seen, 1.0, 0.0)
        moved = float(np.linalg.norm(now.center - before.center)) / before.size
        turned = np.cos(now.angle - before.angle) < 0
        return bool(moved > _LEAP or turned or not 1 / _GROWTH < now.size / before.size < _GROWTH)

    def _open_window(self, picture: Picture, points: Array) -> Array | None:
        """Choose a new window, in which the face is nearly upright, and fit the mesh in it."""
        rect = face_rect(points, 1.0, 0.0)
        turn = round(rect.angle / (math.pi / 2)) * math.pi / 2  # the mesh does not find faces that are upside down
        self._window = CropFrame.around(FaceRect(rect.center, rect.size * _WINDOW_SCALE, turn), _WINDOW_SIZE)
        self._last = settled = self._mesh.settle(cut(picture, self._window, smooth=False))
        return None if settled is None else self._window.points_to_image(settled)

    def _in_middle(self, points: Array) -> bool:
        assert self._window is not None
        rect = face_rect(self._window.points_to_crop(points), 1.0, 0.0)
        near = np.abs(rect.center - _WINDOW_SIZE / 2).max() < 0.2 * _WINDOW_SIZE
        return bool(near and 0.7 < rect.size * _WINDOW_SCALE / _WINDOW_SIZE < 1.5)


def _moved(points: Array, before: Array) -> float:
    return float(np.abs(points - before)[:, :2].mean()) / face_rect(points, 1.0).size
