"""Choose the crops of a source's faces: around detected faces, in a box, or as the user sets them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from liveportrait import PortraitModel
from talkinghead.errors import OptionError
from talkinghead.face import CropFrame, CropRule, Face, FaceDetector, NoFaceError, choose_face, frame_face
from talkinghead.face.cats import find_cat
from talkinghead.face.crop import Array, FaceRect, frame_square
from talkinghead.inputs.option_values import PixelBox
from talkinghead.media.image import Picture
from talkinghead.options import CropOptions

CropPoints = Callable[[Picture, Array], Array]
"""Returns the points of a face that its crop is framed around, given the picture and the face's mesh in it."""


class Framed(NamedTuple):
    """A face and its crop.

    Attributes:
        frame: Where the crop lies in the picture.
        landmarks: Face-mesh points in pixels of the picture, shape (478, 3), or None where there are none.
    """

    frame: CropFrame
    landmarks: Array | None


def frame_sources(
    picture: Picture,
    name: str,
    model: PortraitModel,
    detector: FaceDetector,
    options: CropOptions,
    numbers: Sequence[int | None],
    shrunk: float = 1.0,
    crop_points: CropPoints = lambda _, mesh: mesh,
) -> list[Framed]:
    """Choose crops around faces of a picture.

    Args:
        picture: RGB, shape (H, W, 3).
        name: The picture's name in messages.
        model: The renderer; the embedded model needs landmarks, the animal model does not.
        detector: Detects faces.
        options: Where to search, and how to crop.
        numbers: The faces to use, counted from 0 at the left; None for the largest.
        shrunk: Size of the picture relative to the user's.
        crop_points: What crops are framed around.

    Raises:
        NoFaceError: No face was found.
        FaceIndexError: There is no face of a requested number.
        FaceTooSmallError: The face has too few pixels.
        OptionError: The box lies outside the picture.
    """
    part = part_of(picture, name, options.box, shrunk)
    chosen = options.box is not None or options.whole_picture_as_face
    faces = [] if chosen and not model.needs_landmarks else faces_in(picture, part, detector, options)
    if not faces and chosen and not model.extracts_from_landmarks:
        return [Framed(_whole(part, model), None) for _ in numbers]
    if not faces and chosen:
        raise NoFaceError(
            f"{name}: no face found in the chosen part, and this model needs one: choose another part, or a model"
            " that needs none (--model animals)"
        )
    if not faces and not model.needs_landmarks and (cat := find_cat(picture)) is not None:
        return [Framed(_around_cat(cat, model, options), None) for _ in numbers]
    meshes = [choose_face(faces, number, name, shrunk).landmarks for number in numbers]
    if options.whole_picture_as_face:
        return [Framed(_whole(part, model), mesh) for mesh in meshes]
    return [Framed(frame_around(crop_points(picture, mesh), picture.shape, model, options), mesh) for mesh in meshes]


def frame_around(landmarks: Array, shape: tuple[int, ...], model: PortraitModel, options: CropOptions) -> CropFrame:
    """Return the crop around a face by the user's options, at the largest size that the model uses.

    Args:
        landmarks: The face's points in pixels of the picture, of any set that `face_rect` knows.
        shape: (height, width) of the picture.
        model: The renderer.
        options: How to crop.
    """
    scale = options.crop_scale or model.crop_scale
    rule = CropRule(scale=scale, vx_ratio=options.crop_x, vy_ratio=options.crop_y, rotate=options.rotate)
    frame = frame_face(landmarks, rule)
    pixels = rule.size / frame.zoom
    if options.face_only:
        shown = frame.inside(shape).zoom / frame.zoom  # how much larger the face is shown than in the crop
        pixels = min(pixels, (options.size or model.crop_size) * shown)
    return frame_face(landmarks, replace(rule, size=model.crop_side(pixels)))


def _around_cat(cat: FaceRect, model: PortraitModel, options: CropOptions) -> CropFrame:
    side = (options.crop_scale or model.crop_scale) * cat.size
    shift = np.array([options.crop_x, options.crop_y], np.float32) * np.float32(side)
    return CropFrame.around(FaceRect(cat.center + shift, side, 0.0), model.crop_side(side), rotate=False)


def part_of(picture: Picture, name: str, box: PixelBox | None, shrunk: float) -> PixelBox:
    """Return the part of the picture to search, clipped to the picture, in its pixels.

    Raises:
        OptionError: The box lies outside the picture.
    """
    height, width = picture.shape[:2]
    if box is None:
        return PixelBox(0, 0, width, height)
    left, top, right, bottom = (
        value * shrunk for value in (box.left, box.top, box.left + box.width, box.top + box.height)
    )
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if right - left < 1 or bottom - top < 1:
        size = f"{round(width / shrunk)}×{round(height / shrunk)}"
        raise OptionError(f"{name}: --box lies outside the picture, which has {size} pixels")
    return PixelBox(left, top, right - left, bottom - top)


def faces_in(
    picture: Picture, part: PixelBox, detector: FaceDetector, options: CropOptions, *, thorough: bool = True
) -> list[Face]:
    """Find the faces in a part of a picture, from left to right; `thorough` as in `FaceDetector.detect`."""
    rows = slice(int(part.top), int(np.ceil(part.top + part.height)))
    columns = slice(int(part.left), int(np.ceil(part.left + part.width)))
    shift = np.array([columns.start, rows.start, 0], np.float32)
    view = np.ascontiguousarray(picture[rows, columns])
    found = detector.detect(view, thorough=thorough, threshold=options.detection_threshold)
    return [replace(face, landmarks=face.landmarks + shift) for face in found]


def _whole(part: PixelBox, model: PortraitModel) -> CropFrame:
    return frame_square(*part, model.crop_side(max(part.width, part.height)))
