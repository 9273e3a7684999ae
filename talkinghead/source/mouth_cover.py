"""Find frames in which something is in front of the mouth: a hand, a microphone, hair.

The skin around the mouth is compared with what it usually looks like in the same scene. Whatever covers it has another
colour at many of its points at once; speech, light and turns of the head change it less.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from talkinghead.face.crop import Array, face_rect
from talkinghead.media.image import Picture

SKIN = (
    164, 167, 393, 165, 391, 92, 322, 206, 426, 216, 436, 207, 427, 186, 410, 57, 287, 43, 273, 106, 335, 182,
    406, 83, 313, 194, 418, 201, 421, 208, 428, 32, 262, 211, 431, 18, 200, 199, 175, 205, 425, 187, 411, 192,
    416, 214, 434, 212, 432, 202, 422, 204, 424, 210, 430, 169, 394, 170, 395, 140, 369,
)  # fmt: skip
"""Points of the face mesh on the skin around the mouth."""

_MIDDLE = (164, 18, 200, 199, 175)
_IS_MIDDLE, _IS_RIGHT = np.isin(SKIN, _MIDDLE), np.array(SKIN) >= 250
"""Sides of the points in the picture; the mesh numbers its right half from about 250."""

_LEFT_EDGE, _NOSE_TIP, _RIGHT_EDGE = 234, 1, 454
_NARROW = 0.3
"""Share of the face's width from which half of a face is not turned away."""

_SMALL = 64
"""Size of a face in pixels at which its colours are read, so that single hairs and noise do not matter."""

_DIFFERENT = 30.0
"""Least difference in levels of 255 of a point that is covered."""

_USUAL = 3.0
"""The same in units of the point's usual deviation."""

_COVERED = 0.2
"""Share of different points from which the mouth is covered."""

_REACH = 2
"""Frames before and after a frame that vote with it."""


def skin_colors(picture: Picture, points: Array) -> Array:
    """Read the colours of the skin around a mouth.

    Args:
        picture: RGB, shape (H, W, 3).
        points: Face-mesh points in its pixels, shape (478, 3).

    Returns:
        Shape (len(SKIN), 3), 0 to 255; NaN on the side of the face that is turned away.
    """
    zoom = _SMALL / face_rect(points, 1.0, 0.0).size
    places = points[list(SKIN), :2]
    margin = 2 / zoom
    last = np.array(picture.shape[1::-1]) - 1
    low = np.clip(np.floor(places.min(0) - margin), 0, last).astype(int)
    high = np.clip(np.ceil(places.max(0) + margin), low, last).astype(int) + 1
    part = picture[low[1] : high[1], low[0] : high[0]]
    size = np.maximum(np.rint((high - low) * min(zoom, 1.0)).astype(int), 1)
    small = cv2.resize(part, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)
    x, y = np.clip(((places - low) * (size / (high - low))).astype(int), 0, size - 1).T
    colors = small[y, x].astype(np.float32)
    colors[_turned_away(points)] = np.nan
    return colors


def _turned_away(points: Array) -> NDArray[np.bool_]:
    """Mark the points on the side of the face that is seen too much from the side, shape (len(SKIN),)."""
    left, nose, right = points[[_LEFT_EDGE, _NOSE_TIP, _RIGHT_EDGE], :2]
    widths = np.linalg.norm(left - nose), np.linalg.norm(right - nose)
    if min(widths) > _NARROW * sum(widths):
        return np.zeros(len(SKIN), bool)
    return ~_IS_RIGHT & ~_IS_MIDDLE if widths[0] < widths[1] else _IS_RIGHT


def covered_frames(colors: Array, seen: NDArray[np.bool_], cuts: Sequence[int]) -> NDArray[np.bool_]:
    """Tell in which frames the mouth is covered.

    Args:
        colors: From `skin_colors`, shape (N, len(SKIN), 3).
        seen: Whether each frame shows the face.
        cuts: Indices of the first frames after cuts.

    Returns:
        Shape (N,).
    """
    covered = np.zeros(len(seen), bool)
    for start, end in pairwise((0, *cuts, len(seen))):
        scene = np.flatnonzero(seen[start:end]) + start
        if len(scene):
            covered[scene] = _settled(_different_share(colors[scene]) > _COVERED)
    return covered


def _different_share(colors: Array) -> Array:
    """Return the share of points whose colour is unusual, in the light of the frame; (N, points, 3) → (N,)."""
    known = ~np.isnan(colors[..., 0])
    colors = colors[:, known.any(0)]
    usual = np.nanmedian(colors, 0)
    light = np.nanmedian((usual + 8) / (colors + 8), 1, keepdims=True)
    difference = np.abs(colors * light - usual).max(2)
    limit = np.maximum(_DIFFERENT, _USUAL * np.nanmedian(difference, 0))
    return (difference > limit).sum(1) / known.sum(1)


def _settled(covered: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Let neighbouring frames outvote single ones."""
    window = 2 * _REACH + 1
    votes = np.convolve(np.pad(covered, _REACH, mode="edge").astype(int), np.ones(window, int), "valid")
    return votes > _REACH
