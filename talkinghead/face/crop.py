"""Crop faces from pictures, and map points between picture and crop.

Points are (x, y) in pixels, y down, pixel centres at whole numbers; matrices act on column vectors (x, y, 1). The maths
is float32, as upstream.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from liveportrait import Crop
from liveportrait.config import CROP_SCALE
from talkinghead.face import mesh

Array = NDArray[np.float32]
Picture = NDArray[np.uint8]

_ANCHORS: dict[int, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = {
    203: ((0, 6, 12, 18), (24, 30, 36, 42), (48, 66)),
    106: ((33, 35, 40, 39), (87, 89, 94, 93), (52, 61)),
    101: ((39, 42, 45, 48), (51, 54, 57, 60), (75, 81)),
    68: ((36, 39), (42, 45), (48, 54)),
    5: ((0,), (1,), (3, 4)),
    9: ((2, 3), (0, 1), (5, 6)),
    mesh.NUM_POINTS: (mesh.LEFT_EYE, mesh.RIGHT_EYE, mesh.MOUTH_CORNERS),
}
"""Left eye, right eye and mouth points for each landmark count; nine points are an animal's."""

_MOST_MOVED, _LEAST_SHOWN = 0.15, 0.5
"""How far a crop is moved into its picture, and the share of its side to which it is shrunk for a face near an edge."""

_BORDERS = {"replicate": cv2.BORDER_REPLICATE, "black": cv2.BORDER_CONSTANT}


@dataclass(frozen=True)
class CropRule:
    """The size and place of a crop relative to a face.

    Attributes:
        size: Side of the crop in pixels.
        scale: Side of the crop in units of the face's longer side.
        vy_ratio: Shift of the centre along the face's down axis, in units of the crop's side.
        rotate: Whether to rotate the face upright.
        vx_ratio: Shift of the centre along the face's right axis, in units of the crop's side.
    """

    size: int = 512
    scale: float = CROP_SCALE
    vy_ratio: float = -0.125
    rotate: bool = True
    vx_ratio: float = 0.0

    def for_model(self, crop_scale: float) -> CropRule:
        """Return the rule for a model whose sources are `crop_scale` faces wide, instead of CROP_SCALE."""
        return replace(self, scale=self.scale * (crop_scale / CROP_SCALE))


SOURCE_CROP = CropRule()
DRIVING_CROP = CropRule(scale=2.2, vy_ratio=-0.1, rotate=False)
LANDMARK_CROP = CropRule(size=224, scale=1.5, vy_ratio=-0.1)


@dataclass(frozen=True)
class FaceRect:
    """A square around a face.

    Attributes:
        center: Shape (2,), pixels.
        size: Side in pixels.
        angle: Rotation of the face in the picture plane, radians, clockwise.
    """

    center: Array
    size: float
    angle: float

    @staticmethod
    def from_box(box: Array, angle: float = 0.0) -> FaceRect:
        """Turn a square box (left, top, right, bottom), shape (4,), into a rect."""
        left, top, right, bottom = map(float, box)
        return FaceRect(np.array([(left + right) / 2, (top + bottom) / 2], np.float32), right - left, angle)

    def corners(self, *, rotate: bool) -> Array:
        """Return the corners clockwise from the upper left, shape (4, 2), rotated with the face or upright."""
        offsets = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32) * np.float32(self.size / 2)
        return self.center + (offsets @ _turn(self.angle).T if rotate else offsets)


@dataclass(frozen=True)
class CropFrame:
    """The similarity transform between picture and crop.

    Attributes:
        size: Side of the crop in pixels.
        to_crop: Picture pixels to crop pixels, shape (3, 3), float32.
        to_image: The inverse, shape (3, 3), float32.
    """

    size: int
    to_crop: Array
    to_image: Array

    @staticmethod
    def around(rect: FaceRect, size: int = 512, *, rotate: bool = True) -> CropFrame:
        """Map the rect's square to a crop of `size` pixels; without `rotate` the square stands upright."""
        zoom = size / float(rect.size)
        turn = _turn(-rect.angle if rotate else 0.0).astype(np.float64) * zoom
        to_crop = np.eye(3)
        to_crop[:2, :2] = turn
        to_crop[:2, 2] = size / 2 - turn @ rect.center.astype(np.float64)
        to_crop = to_crop.astype(np.float32)
        return CropFrame(size, to_crop, np.linalg.inv(to_crop.astype(np.float64)).astype(np.float32))

    @property
    def zoom(self) -> float:
        """Crop pixels for one picture pixel."""
        return float(np.hypot(self.to_crop[0, 0], self.to_crop[1, 0]))

    def resized(self, size: int) -> CropFrame:
        """Return the frame of the same crop resized; its edges stay, so pixel centres move."""
        ratio = size / self.size
        resize = np.diag([ratio, ratio, 1.0])
        resize[:2, 2] = (ratio - 1) / 2
        to_crop = (resize @ self.to_crop).astype(np.float32)
        return CropFrame(size, to_crop, (self.to_image @ np.linalg.inv(resize)).astype(np.float32))

    def inside(self, shape: tuple[int, ...]) -> CropFrame:
        """Return this frame moved and shrunk into a picture; itself if it lies inside.

        It is moved by `_MOST_MOVED` of its side at most and then shrunk, so that the face stays near its middle.

        Args:
            shape: (height, width) of the picture.
        """
        last = self.size - 1
        corners = self.points_to_image(np.array([[0, 0], [last, 0], [last, last], [0, last]], np.float32))
        span, middle = np.ptp(corners, axis=0), corners.mean(axis=0)
        room = np.array([shape[1] - 1, shape[0] - 1], np.float32)
        near = np.minimum(middle, room - middle) / (0.5 - _MOST_MOVED)  # side up to which moving it is enough
        ratio = min(1.0, float((room / span).min()), max(_LEAST_SHOWN, float((near / span).min())))
        moved = np.clip(middle, ratio * span / 2, room - ratio * span / 2)
        if ratio == 1 and np.abs(moved - middle).max() < 0.5:
            return self
        to_image = self.to_image.astype(np.float64)
        to_image[:2, :2] *= ratio
        to_image[:2, 2] = moved - to_image[:2, :2] @ (last / 2, last / 2)
        to_image = to_image.astype(np.float32)
        return CropFrame(self.size, np.linalg.inv(to_image.astype(np.float64)).astype(np.float32), to_image)

    def seen_in(self, view: CropFrame) -> CropFrame:
        """Return the place of this crop in another crop of the same picture."""
        return CropFrame(self.size, self.to_crop @ view.to_image, view.to_crop @ self.to_image)

    def points_to_crop(self, points: Array) -> Array:
        """Map picture points to crop pixels, shape (N, 2 or 3); a z is scaled like x."""
        return _move(points, self.to_crop)

    def points_to_image(self, points: Array) -> Array:
        """Map crop points to picture pixels, shape (N, 2 or 3); a z is scaled like x."""
        return _move(points, self.to_image)


def anchor_points(points: Array, *, use_lips: bool = True) -> Array:
    """Return the two points that determine the rotation of a face.

    Args:
        points: Landmarks, shape (N, 2 or more), pixels; N is 203, 106, 101, 68, 9 (animals), 5 or 478 (mesh).
            Other sets of more than 101 points count as the 101 set plus extras.
        use_lips: Return the centres of eyes and mouth; otherwise the left eye and a point at a right angle to the
            line between the eyes.

    Returns:
        The upper and the lower point, shape (2, 2).

    Raises:
        ValueError: No landmark set has this many points.
    """
    count = len(points)
    known = count if count in _ANCHORS else 101
    if count < known:
        raise ValueError(f"expected {', '.join(map(str, _ANCHORS))} or more than 101 landmarks, got {count}")
    xy = points[:, :2].astype(np.float32)
    left, right, mouth = (xy[list(index)].mean(axis=0) for index in _ANCHORS[known])
    if use_lips:
        return np.stack([(left + right) / 2, mouth])
    dx, dy = right - left
    return np.stack([left, left + np.array([-dy, dx], np.float32)])


def face_rect(
    points: Array, scale: float = CROP_SCALE, vy_ratio: float = -0.125, vx_ratio: float = 0.0, *, use_lips: bool = True
) -> FaceRect:
    """Return a square around a face, rotated with it.

    Args:
        points: Landmarks, shape (N, 2 or more), pixels, one of the sets of `anchor_points`.
        scale: Side of the square in units of the longer side of the face.
        vy_ratio: Shift of the centre along the face's down axis, in units of the square's side.
        vx_ratio: Shift along the right axis; upstream has this option but does not apply it.
        use_lips: As in `anchor_points`.

    Source: LivePortrait, src/utils/crop.py, parse_rect_from_landmark. The angle is the arc cosine of a
        float32 there, coarse for upright faces (5e-4 rad); kept, because it moves the crop's pixels.
    """
    eyes, second = anchor_points(points, use_lips=use_lips)
    down = second - eyes
    length = np.linalg.norm(down)
    down = down / length if length > 1e-3 else np.array([0, 1], np.float32)
    right = np.array([down[1], -down[0]], np.float32)
    axes = np.stack([right, down]).astype(np.float32)
    xy = points[:, :2].astype(np.float32)
    if len(points) == mesh.NUM_POINTS:
        xy = xy[list(mesh.FRAMING)]
    middle = xy.mean(axis=0)
    turned = (xy - middle) @ axes.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    size = float((high - low).max()) * scale
    center = middle + ((low + high) / 2) @ axes + np.array([vx_ratio * size, vy_ratio * size], np.float32) @ axes
    angle = math.copysign(math.acos(np.clip(float(right[0]), -1.0, 1.0)), float(right[1]))
    return FaceRect(center.astype(np.float32), size, angle)


def frame_face(points: Array, rule: CropRule = SOURCE_CROP) -> CropFrame:
    """Return the crop around a face's landmarks by a rule."""
    rect = face_rect(points, rule.scale, rule.vy_ratio, rule.vx_ratio)
    return CropFrame.around(rect, rule.size, rotate=rule.rotate)


def frame_square(left: float, top: float, width: float, height: float, size: int) -> CropFrame:
    """Return an upright square crop of `size` pixels around a part of a picture, given in picture pixels."""
    side = max(round(max(width, height)), 1)
    center = np.array([left + width / 2, top + height / 2], np.float32)
    return CropFrame.around(FaceRect(center, side, 0.0), side, rotate=False).resized(size)


def cut(
    picture: Picture,
    frame: CropFrame,
    *,
    border: Literal["replicate", "black"] = "replicate",
    smooth: bool = True,
    antialias: bool = True,
) -> Picture:
    """Sample a crop from a picture.

    Args:
        picture: RGB, shape (H, W, 3).
        frame: The crop.
        border: How to fill the area outside the picture: with its edge pixels, or with black like upstream.
        smooth: Sample bicubically, which keeps twice as much detail as bilinearly and takes four times as long.
        antialias: If the crop is coarser than the picture, average over the pixels that a crop pixel covers.

    Returns:
        The crop, shape (size, size, 3).

    Source: neither smooth nor antialiased, with a black border: LivePortrait's _transform_img (OpenCV bilinear).
    """
    matrix = frame.to_crop[:2].astype(np.float64)
    if antialias and frame.zoom < 0.7:
        picture, matrix = _shrink(picture, frame)
    flags = cv2.INTER_CUBIC if smooth else cv2.INTER_LINEAR
    size = (frame.size, frame.size)
    return cv2.warpAffine(picture, matrix, size, flags=flags, borderMode=_BORDERS[border])  # type: ignore[return-value]


def make_crop(picture: Picture, landmarks: Array, rule: CropRule = SOURCE_CROP) -> tuple[Crop, CropFrame]:
    """Cut a model's input crop from a picture.

    Args:
        picture: RGB, shape (H, W, 3).
        landmarks: Face-mesh points in picture pixels, shape (478, 3).
        rule: How to crop.

    Returns:
        One crop (picture in [0, 1]; landmarks with the crop's edges at -1 and 1), and its place in the picture.
    """
    frame = frame_face(landmarks, rule)
    return cut_crop(picture, frame, landmarks), frame


def cut_crop(picture: Picture, frame: CropFrame, landmarks: Array | None) -> Crop:
    """Cut one crop like `make_crop`; `landmarks` may be None."""
    image = torch.from_numpy(cut(picture, frame)).permute(2, 0, 1)[None].float() / 255
    points = None if landmarks is None else torch.from_numpy(landmarks_in_crop(landmarks, frame))[None]
    return Crop(image, points, torch.from_numpy(edges_in_crop(picture.shape[:2], frame))[None])


def edges_in_crop(shape: tuple[int, ...], frame: CropFrame) -> Array:
    """Return the edges of a picture of a (height, width) as `Crop.edges`, shape (4, 3): left, top, right, bottom."""
    unit = 2 / frame.size
    from_units = np.array([[1 / unit, 0, (frame.size - 1) / 2], [0, 1 / unit, (frame.size - 1) / 2], [0, 0, 1]])
    places = frame.to_image.astype(np.float64) @ from_units
    height, width, _ = (*shape[:2], 1)
    far = np.zeros((2, 3))
    far[:, 2] = width - 1, height - 1
    return (np.concatenate([places[:2], far - places[:2]]) * (frame.zoom * unit)).astype(np.float32)


def landmarks_in_crop(landmarks: Array, frame: CropFrame) -> Array:
    """Map picture landmarks, shape (N, 3), to units where the crop's edges are -1 and 1; z scales like x."""
    points = frame.points_to_crop(landmarks)
    points[:, :2] += 0.5 - frame.size / 2  # the centre of the first pixel is at 0, its edge at -0.5
    return points * np.float32(2 / frame.size)


def _turn(angle: float) -> Array:
    """Return the matrix that rotates column vectors by an angle in radians, clockwise in the picture, shape (2, 2)."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]], np.float32)


def _move(points: Array, matrix: Array) -> Array:
    moved = points.astype(np.float32, copy=True)
    moved[:, :2] = points[:, :2] @ matrix[:2, :2].T + matrix[:2, 2]
    moved[:, 2:] *= np.hypot(matrix[0, 0], matrix[1, 0])
    return moved


def _shrink(picture: Picture, frame: CropFrame) -> tuple[Picture, NDArray[np.float64]]:
    """Downscale the picture under the crop by averaging; return it and its matrix to the crop.

    A factor of 0.75 is left to the sampling, which does it without aliasing or blur.
    """
    zoom = frame.zoom / 0.75
    height, width = picture.shape[:2]
    corners = frame.points_to_image(np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32) * frame.size)
    margin = 2 / frame.zoom
    x0, y0 = np.clip(np.floor(corners.min(axis=0) - margin), 0, (width - 1, height - 1)).astype(int)
    x1, y1 = np.clip(np.ceil(corners.max(axis=0) + margin), (x0 + 1, y0 + 1), (width, height)).astype(int)
    part = picture[y0:y1, x0:x1]
    size = max(round((x1 - x0) * zoom), 1), max(round((y1 - y0) * zoom), 1)
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    fx, fy = (x1 - x0) / size[0], (y1 - y0) / size[1]
    from_small = np.array([[fx, 0, x0 + (fx - 1) / 2], [0, fy, y0 + (fy - 1) / 2], [0, 0, 1]])
    return small, (frame.to_crop.astype(np.float64) @ from_small)[:2]  # type: ignore[return-value]
