"""Paste rendered crops back into the picture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from talkinghead.face.crop import CropFrame, FaceRect, Picture

_ONE = 256
"""Blending weights are integers from 0 to 256, so that a product with a pixel fits 16 bits."""

_BAND = 64
"""Number of rows that are blended at once, few enough for the processor's cache."""

_BORDER = 0.15
"""Half the width of the border between two faces' crops, in units of a face."""


def feathered_mask(size: int = 512, feather: float = 0.06) -> NDArray[np.uint8]:
    """Draw a mask that is 255 inside and falls smoothly to 0 at the edges.

    Args:
        size: Side in pixels.
        feather: Width of the soft edge, in units of the side.

    Returns:
        The mask, shape (size, size).
    """
    centers = np.arange(size) + 0.5
    depth = (np.minimum(centers, size - centers) - 1) / max(feather * size, 1.0)
    ramp = np.clip(depth, 0, 1)
    ramp = ramp * ramp * (3 - 2 * ramp)
    return np.rint(255 * np.outer(ramp, ramp)).astype(np.uint8)


def overlap_mask(frame: CropFrame, own: FaceRect, others: Sequence[FaceRect], size: int = 256) -> NDArray[np.uint8]:
    """Draw a mask that divides overlapping crops: each pixel belongs to the nearest face.

    Args:
        frame: The crop.
        own: The square around its face.
        others: The squares around the other animated faces.
        size: Side of the mask in pixels.

    Returns:
        The mask of `feathered_mask`, reduced to 0 where another face is nearer, shape (size, size).
    """
    y, x = np.mgrid[:size, :size].astype(np.float32)
    points = frame.resized(size).points_to_image(np.stack([x.ravel(), y.ravel()], 1))
    own_distance, *distances = (np.linalg.norm(points - rect.center, axis=1) / rect.size for rect in (own, *others))
    nearness = np.min(distances, axis=0) - own_distance
    share = np.clip(0.5 + nearness / (2 * _BORDER), 0, 1).reshape(size, size)
    return np.rint(feathered_mask(size) * share * share * (3 - 2 * share)).astype(np.uint8)


class PasteBack:
    """Blends crops of one face into one picture; everything that does not depend on the crop is computed once.

    Source: LivePortrait, src/utils/crop.py, prepare_paste_back and paste_back: mask and crop are warped with
        the crop-to-picture matrix, blended, truncated. Here only the crop's box is touched, the mask has one
        channel, and its weights are integers, which moves a pixel by at most one level.
    """

    def __init__(
        self,
        picture: Picture,
        frame: CropFrame,
        *,
        mask: NDArray[np.uint8] | None = None,
        crop_size: int | None = None,
    ):
        """Prepare the picture.

        Args:
            picture: RGB, shape (H, W, 3); not changed.
            frame: The crop's place in the picture.
            mask: Weight of the crop, 0 to 255, shape (S, S), any S; by default `feathered_mask()`.
            crop_size: Side of the crops to paste; by default the frame's.
        """
        self._picture = np.ascontiguousarray(picture)
        self._size = crop_size or frame.size
        mask = feathered_mask(self._size) if mask is None else mask
        self._box = _box_under(frame, picture.shape[:2])
        self._weight = _weights(mask, frame.resized(len(mask)), self._box)
        self._matrix, self._shrunk = self._crop_matrix(frame.resized(self._size))
        self._sampled = np.empty_like(self._picture[self._box], order="C")
        self._inner = _covered(self._weight)

    def paste(self, crop: Picture, out: Picture | None = None) -> Picture:
        """Blend one crop into the picture.

        Args:
            crop: RGB, shape (crop_size, crop_size, 3).
            out: An earlier result of this object to overwrite, which saves copying the picture.

        Returns:
            The picture with the face, shape (H, W, 3); a new array unless `out` was given.

        Raises:
            ValueError: The crop has another size.
        """
        out = self._picture.copy() if out is None else out
        return self._blend(crop, self._picture, out)

    def place(self, crop: Picture, background: Picture | None) -> Picture:
        """Blend one crop into the picture, or into `background`.

        Args:
            crop: As in `paste`.
            background: The picture with other faces animated already, shape (H, W, 3), overwritten; None for the
                picture itself.

        Returns:
            The picture with the face.
        """
        return self.paste(crop) if background is None else self._blend(crop, background, background)

    def _blend(self, crop: Picture, background: Picture, out: Picture) -> Picture:
        if crop.shape != (self._size, self._size, 3):
            raise ValueError(f"expected a crop of shape {(self._size, self._size, 3)}, got {crop.shape}")
        if self._sampled.size:
            face, picture, target = self._sample(crop), background[self._box], out[self._box]
            target[self._inner] = face[self._inner]
            for part in _around(self._inner, face.shape[:2]):
                _blend(face[part], picture[part], self._weight[part], target[part])
        return out

    def _sample(self, crop: Picture) -> Picture:
        if self._shrunk != self._size:
            crop = cv2.resize(crop, (self._shrunk, self._shrunk), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        height, width = self._sampled.shape[:2]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        cv2.warpAffine(crop, self._matrix, (width, height), self._sampled, flags, cv2.BORDER_REPLICATE)
        return self._sampled

    def _crop_matrix(self, frame: CropFrame) -> tuple[NDArray[np.float64], int]:
        """Return the matrix from box to crop pixels, shape (2, 3), and the size to which crops are reduced first.

        If the crop has several pixels for each one of the picture, sampling only some of them would flicker.
        """
        size = frame.size if frame.zoom < 3 else round(frame.size / (frame.zoom / 2))
        matrix = frame.resized(size).to_crop.astype(np.float64)
        rows, columns = self._box
        matrix[:2, 2] += matrix[:2, :2] @ (columns.start, rows.start)
        return matrix[:2], size


def _blend(face: Picture, picture: Picture, weight: NDArray[np.uint16], out: Picture) -> None:
    """Write face * weight + picture * (1 - weight), truncated."""
    alpha = cv2.merge([weight, weight, weight])
    total = np.multiply(face, alpha, dtype=np.uint16)
    np.subtract(_ONE, alpha, out=alpha)  # type: ignore[call-overload]
    np.multiply(picture, alpha, out=alpha, dtype=np.uint16)  # type: ignore[call-overload]
    np.add(total, alpha, out=total)  # type: ignore[call-overload]
    np.right_shift(total, 8, out=total)
    np.copyto(out, total, casting="unsafe")


def _covered(weight: NDArray[np.uint16]) -> tuple[slice, slice]:
    """Return rows and columns of a central rectangle where the crop has full weight, so that it needs no blending."""
    height, width = weight.shape
    for share in np.arange(0.0, 0.5, 0.02):
        top, left = math.ceil(share * height), math.ceil(share * width)
        box = slice(top, height - top), slice(left, width - left)
        if (weight[box] == _ONE).all():
            return box
    return slice(0, 0), slice(0, 0)


def _around(box: tuple[slice, slice], shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Yield the area around a rectangle: bands above and below it, and the parts left and right of it."""
    (rows, columns), (height, width) = box, shape
    for first, last in ((0, rows.start), (rows.stop, height)):
        for top in range(first, last, _BAND):
            yield slice(top, min(top + _BAND, last)), slice(0, width)
    for left, right in ((0, columns.start), (columns.stop, width)):
        if rows.start < rows.stop and left < right:
            yield rows, slice(left, right)


def _box_under(frame: CropFrame, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the rows and columns of the picture that the crop can touch."""
    height, width = shape
    corners = frame.points_to_image(np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32) * frame.size)
    left, top = np.clip(np.floor(corners.min(axis=0)), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, (width, height)).astype(int)
    return slice(int(top), int(bottom)), slice(int(left), int(right))


def _weights(mask: NDArray[np.uint8], frame: CropFrame, box: tuple[slice, slice]) -> NDArray[np.uint16]:
    """Warp the mask into the box and scale it to 0.._ONE, shape (rows, columns)."""
    rows, columns = box
    size = (columns.stop - columns.start, rows.stop - rows.start)
    if 0 in size:
        return np.zeros(size[::-1], np.uint16)
    matrix = frame.to_crop.astype(np.float64)[:2]
    matrix[:, 2] += matrix[:, :2] @ (columns.start, rows.start)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(mask, matrix, size, flags=flags, borderMode=cv2.BORDER_CONSTANT)
    return np.rint(warped.astype(np.float32) * (_ONE / 255)).astype(np.uint16)
