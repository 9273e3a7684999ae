"""How good a picture of a face is, without another one to compare it with."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from talkinghead.face.crop import Array, CropRule, Picture, cut, frame_face

FACE_CROP = CropRule(size=256, scale=1.2, vy_ratio=0.0)
"""The face alone: what is sharp there does not depend on the background."""

_BLOCK = 8  # pixels, of JPEG and of the transforms of most video codecs
_DARK, _BRIGHT = 8, 247  # luma at which a pixel counts as clipped


def sharpness(picture: Picture, where: NDArray[np.bool_] | None = None) -> float:
    """Laplacian energy of the luma, in a part of the picture if asked: how much fine detail it has; more is sharper."""
    detail = cv2.Laplacian(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.CV_64F)
    return float(np.var(detail if where is None else detail[where]))


def blockiness(picture: Picture) -> float:
    """Return how much stronger luma steps are at the borders of 8×8 blocks than elsewhere; 1 is best, more is worse.

    The picture has to begin at a border of a block and must not have been resized since it was coded.

    Source: after Wang et al., "No-reference perceptual quality assessment of JPEG compressed images", 2002, Eq. 1-2.
    """
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    ratios = []
    for steps in (np.abs(np.diff(luma, axis=1)), np.abs(np.diff(luma, axis=0)).T):
        border = np.arange(steps.shape[1]) % _BLOCK == _BLOCK - 1
        ratios.append((steps[:, border].mean() + 0.5) / (steps[:, ~border].mean() + 0.5))  # 0.5: flat pictures give 1
    return float(np.mean(ratios))


def clipped(picture: Picture) -> float:
    """Return the share of pixels that are black or white, 0 to 1: how badly it is exposed; less is better."""
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return float(((luma < _DARK) | (luma > _BRIGHT)).mean())


def face_quality(picture: Picture, points: Array) -> dict[str, float]:
    """Measure the face in a picture.

    Args:
        picture: RGB, shape (H, W, 3), as it was decoded.
        points: The face's mesh points in it, shape (478, 2 or more).

    Returns:
        `sharpness` and `clipped` of the face at 256 pixels, `blockiness` of it at its own size.
    """
    crop = cut(picture, frame_face(points, FACE_CROP))
    (left, top), (right, bottom) = points[:, :2].min(0), points[:, :2].max(0)
    top, left = (int(max(value, 0)) // _BLOCK * _BLOCK for value in (top, left))
    face = picture[top : max(int(bottom), top + 2 * _BLOCK), left : max(int(right), left + 2 * _BLOCK)]
    return {"sharpness": sharpness(crop), "blockiness": blockiness(face), "clipped": clipped(crop)}
