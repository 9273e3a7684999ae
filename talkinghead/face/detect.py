"""Detect the faces of a photo, painting or drawing, and fit a mesh to each."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from operator import itemgetter

import numpy as np

from talkinghead.face.crop import Array, CropFrame, FaceRect, Picture, cut, face_rect
from talkinghead.face.errors import FaceIndexError, FaceTooSmallError, NoFaceError
from talkinghead.face.landmarks import BoxFinder, Detection, FaceMesh
from talkinghead.wording import counted

MIN_FACE_SIZE = 32
"""Smallest face, longer side from brows to chin in pixels, to which the mesh can be fitted."""

SURE, _DOUBT, _MAX_SHAKE = 0.75, 0.05, 0.01
"""A face is accepted if its mean score over several crops is high, or fairly high with meshes that agree.

Measured on some 200 pictures: photos, paintings, statues and drawings score 0.78 to 0.96 and their meshes differ by at
most 0.007, except for two drawings. A cat scores 0.44, a headlight 0.65 (meshes differ by 0.04), a wheel hub 0.60
(0.06), the pattern on a coin 0.54 (0.05). The mesh's own confidence does not help: it is high for cat, hub and coin.
"""

_DETECTOR_CROPS = ((2.0, 0.0), (2.4, 0.15), (2.4, -0.15), (3.0, 0.0), (4.0, 0.0))
_MESH_CROPS = ((2.0, 0.0), (1.6, 0.15), (1.6, -0.15), (2.4, 0.0))
"""Crops in which a detected face is checked: side in units of the face, rotation in radians."""

_TURNS, _CLEARLY = (0.0, np.pi / 2, -np.pi / 2, np.pi), 0.05
"""Rotations tried before the mesh is fitted, and how much higher a rotated face must score.

The detectors take a face that is upside down for an upright one, with scores up to 0.84; rotated, it scores 0.9.
"""

_VIEW_SIZE = 256
_MESH_SIZE = 384


@dataclass(frozen=True)
class Face:
    """A face in a picture.

    Attributes:
        landmarks: Face-mesh points in pixels of the picture, shape (478, 3), pixel centres at whole numbers, z in the
            scale of x.
        size: Longer side of the face from brows to chin, pixels.
        score: Confidence of the detectors, 0 to 1.
    """

    landmarks: Array
    size: float
    score: float


class FaceDetector:
    """Detects faces. It owns the models, so create it once; threads can share it and take turns."""

    def __init__(self):
        self._boxes = BoxFinder()
        self._mesh = FaceMesh()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Free its memory and threads; it cannot be used afterwards."""
        self._boxes.close()
        self._mesh.close()

    def detect(self, picture: Picture, *, thorough: bool = True, threshold: float = SURE) -> list[Face]:
        """Return all faces from left to right.

        Args:
            picture: RGB, shape (H, W, 3), uint8.
            thorough: Search for small faces too and, if there are none, for even smaller ones and for faces that are
                sideways or upside down.
            threshold: Mean score from which a face is accepted; a little less suffices if its meshes agree.
        """
        views = [_whole_views(picture)]
        if thorough:
            views = [chain(*views, _tiles(picture, 2)), _tiles(picture, 4), _turned_views(picture)]
        with self._lock:
            faces = next(filter(None, (self._faces_in(picture, part, threshold) for part in views)), [])
        return sorted(faces, key=lambda face: float(face.landmarks[:, 0].mean()))

    def _faces_in(self, picture: Picture, views: Iterator[CropFrame], threshold: float) -> list[Face]:
        faces: list[Face] = []
        tried: list[FaceRect] = []
        detections = [seen for view in views for seen in self._detections(picture, view)]
        for seen in sorted(detections, key=lambda seen: -seen.score):
            known = any(_near(seen.rect, _rect_of(face)) for face in faces)
            if known or any(_alike(seen.rect, rect) for rect in tried):
                continue
            tried.append(seen.rect)
            face = self._fit(picture, self._upright(picture, seen), threshold)
            if face and not any(_near(_rect_of(face), _rect_of(other)) for other in faces):
                faces.append(face)
        return faces

    def _detections(self, picture: Picture, view: CropFrame) -> list[Detection]:
        return [
            seen._replace(rect=_rect_in_picture(seen.rect, view))
            for seen in self._boxes.find(cut(picture, view, border="black", smooth=False))
        ]

    def _upright(self, picture: Picture, seen: Detection) -> FaceRect:
        """Return the rect of a face in the rotation with the best score, or the original one."""
        scores: list[tuple[float, FaceRect]] = []
        for turn in _TURNS:
            rect = FaceRect(seen.rect.center, seen.rect.size * 3, seen.rect.angle + turn)
            found = self._detections(picture, CropFrame.around(rect, _VIEW_SIZE))
            near = [each for each in found if _near(each.rect, seen.rect)]
            scores.append(max(((each.score, each.rect) for each in near), default=(0.0, seen.rect), key=itemgetter(0)))
        best = max(scores, key=itemgetter(0))
        return best[1] if best[0] > max(seen.score, scores[0][0]) + _CLEARLY else seen.rect

    def _fit(self, picture: Picture, rect: FaceRect, threshold: float) -> Face | None:
        """Fit the mesh to a detection, and return None if it is not a face."""
        for scale in (2.0, 1.5):  # the smaller crop excludes neighbouring faces
            points = self._settle(picture, replace(rect, size=rect.size * scale))
            if points is not None and _matches(face_rect(points, 1.0, 0.0), rect):
                break
        else:
            return None
        fits = [fit for rect in _rects(points, _MESH_CROPS) if (fit := self._settle(picture, rect)) is not None]
        if not fits:
            return None
        points = np.median(fits, axis=0).astype(np.float32)
        score, shake = self._score(picture, points), _shake(fits)
        accepted = score >= threshold or (score >= threshold - _DOUBT and shake <= _MAX_SHAKE)
        return Face(points, face_rect(points, 1.0).size, score) if accepted else None

    def _settle(self, picture: Picture, rect: FaceRect) -> Array | None:
        frame = CropFrame.around(rect, _MESH_SIZE)
        points = self._mesh.settle(cut(picture, frame, smooth=False))
        return None if points is None else frame.points_to_image(points)

    def _score(self, picture: Picture, points: Array) -> float:
        """Return the better detector's score, averaged over crops of several sizes and rotations."""
        views = (
            cut(picture, CropFrame.around(rect, _VIEW_SIZE), smooth=False) for rect in _rects(points, _DETECTOR_CROPS)
        )
        scores = [[seen.score for seen in self._boxes.find(view) if _central(seen)] for view in views]
        return float(np.mean([max(found, default=0.0) for found in scores]))


def choose_face(
    faces: Sequence[Face], number: int | None = None, name: str = "the picture", shrunk: float = 1.0
) -> Face:
    """Return one of a picture's faces.

    Args:
        faces: The result of `FaceDetector.detect`.
        number: The face, counted from 0 at the left among those that are large enough; None for the largest.
        name: The picture's name in messages.
        shrunk: Size of the picture relative to the user's.

    Raises:
        NoFaceError: There are no faces.
        FaceTooSmallError: All faces are too small.
        FaceIndexError: There is no face of this number.
    """
    if not faces:
        raise NoFaceError(f"{name}: no face found; give a picture that shows a face clearly, or say where with --box")
    largest = max(faces, key=lambda face: face.size)
    if largest.size < MIN_FACE_SIZE:
        own, advice = largest.size / shrunk, "give a larger picture"
        if own >= MIN_FACE_SIZE:
            advice = f"it has {own:.0f} before --size shrinks the picture: give a larger --size, or --face-only"
        raise FaceTooSmallError(
            f"{name}: the face measures {largest.size:.0f} pixels from brows to chin, at least {MIN_FACE_SIZE} are"
            f" needed; {advice}"
        )
    if number is None:
        return largest
    usable = usable_faces(faces)
    if not 0 <= number < len(usable):
        found = counted(len(usable), "face")
        raise FaceIndexError(f"{name}: there is no face {number}; {found} found, counted from 0 at the left")
    return usable[number]


def usable_faces(faces: Sequence[Face]) -> list[Face]:
    """Return the faces that are large enough, which are those that have a number."""
    return [face for face in faces if face.size >= MIN_FACE_SIZE]


def _whole_views(picture: Picture) -> Iterator[CropFrame]:
    """Yield the whole picture, then a larger view for faces that fill it."""
    for scale in (1.0, 1.5):
        yield _view(_middle(picture), max(picture.shape[:2]) * scale)


def _turned_views(picture: Picture) -> Iterator[CropFrame]:
    """Yield the whole picture rotated by quarter turns."""
    for angle in (np.pi / 2, -np.pi / 2, np.pi):
        yield _view(_middle(picture), max(picture.shape[:2]) * 1.1, angle)


def _tiles(picture: Picture, parts: int) -> Iterator[CropFrame]:
    """Yield squares that cover the picture and overlap by half, unless they are too small for faces."""
    side = max(picture.shape[:2]) / parts
    if side < 2 * MIN_FACE_SIZE:
        return
    rows, columns = (_spread(length, side) for length in picture.shape[:2])
    for y in rows:
        for x in columns:
            yield _view((x, y), side)


def _view(center: tuple[float, float], side: float, angle: float = 0.0) -> CropFrame:
    return CropFrame.around(FaceRect(np.array(center, np.float32), side, angle), _VIEW_SIZE)


def _middle(picture: Picture) -> tuple[float, float]:
    height, width = picture.shape[:2]
    return width / 2, height / 2


def _spread(length: int, side: float) -> list[float]:
    """Return centres of intervals of one side that cover a length and overlap by half or more."""
    if length <= side:
        return [length / 2]
    count = int(np.ceil((length - side) / (side / 2))) + 1
    return np.linspace(side / 2, length - side / 2, count).tolist()


def _rects(points: Array, crops: Sequence[tuple[float, float]]) -> list[FaceRect]:
    """Return squares around a face."""
    rect = face_rect(points, 1.0, 0.0)
    return [FaceRect(rect.center, rect.size * scale, rect.angle + turn) for scale, turn in crops]


def _shake(fits: Sequence[Array]) -> float:
    """Return the mean distance of fits from their mean, in units of the face; infinite if a fit failed."""
    if len(fits) < len(_MESH_CROPS):
        return np.inf
    mean = np.mean(fits, axis=0)
    return float(np.abs(fits - mean)[..., :2].mean()) / face_rect(mean, 1.0).size


def _rect_in_picture(rect: FaceRect, view: CropFrame) -> FaceRect:
    turn = float(np.arctan2(view.to_image[1, 0], view.to_image[0, 0]))
    return FaceRect(view.points_to_image(rect.center[None])[0], rect.size / view.zoom, rect.angle + turn)


def _near(a: FaceRect, b: FaceRect) -> bool:
    return bool(np.linalg.norm(a.center - b.center) < 0.5 * max(a.size, b.size))


def _matches(fitted: FaceRect, seen: FaceRect) -> bool:
    """Return whether a mesh lies at a detected face and is not upside down."""
    return _near(fitted, seen) and bool(np.cos(fitted.angle - seen.angle) > 0)


def _central(seen: Detection) -> bool:
    """Return whether a face lies in the middle of its view."""
    return bool(np.linalg.norm(seen.rect.center - _VIEW_SIZE / 2) < 0.4 * seen.rect.size)


def _alike(a: FaceRect, b: FaceRect) -> bool:
    return _near(a, b) and 0.67 < a.size / b.size < 1.5


def _rect_of(face: Face) -> FaceRect:
    return face_rect(face.landmarks, 1.0, 0.0)
