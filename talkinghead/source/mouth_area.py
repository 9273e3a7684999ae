"""The part of a face that a new voice changes: where it lies, and how well it shows the teeth."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from liveportrait.mini.regions import JAW, LIPS_INNER, LIPS_OUTER
from talkinghead.face.crop import Array, CropFrame, face_rect, landmarks_in_crop
from talkinghead.media.image import Picture

_NOSE_TOP = 195
_LOWER_FACE = (*JAW[2:-2], _NOSE_TOP)
"""Outline of the lower face: the jaw from below one ear to below the other, and the bridge of the nose."""

_MARGIN, _SOFTNESS = 0.05, 0.03
"""How far the area reaches beyond the lower face, and the deviation of its soft edge, in units of the crop."""

_INTO_LIPS = 0.35
"""Share of the lips that is covered with the inside of an open mouth: landmarks may lie a little inside the teeth. Less
is covered if the opening is lower than the lips are thick."""

_COVERED_SIDE, _REACH = 128, 2
"""Longest side in pixels at which the cover's colours are worked out, and how far each depends on others."""

_ANY_COLOR, _DARKEST_SKIN = 0.1, 8.0
"""Weight of the inside of a mouth that is no greener than skin, and the least colour of skin that is divided by."""


def mouth_mask(frame: CropFrame, points: Array, size: int = 256) -> NDArray[np.uint8]:
    """Draw the area that the new mouth may change, for `PasteBack`.

    Args:
        frame: The crop.
        points: Face-mesh points in the picture, shape (478, 3).
        size: Side of the mask in pixels.

    Returns:
        Weight of the crop, 0 to 255, shape (size, size).
    """
    outline = (landmarks_in_crop(points[list(_LOWER_FACE)], frame)[:, :2] + 1) * (size / 2)
    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [np.rint(outline).astype(np.int32)], (255,))
    reach = 2 * round(_MARGIN * size) + 1
    mask = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    mask = cv2.GaussianBlur(mask, (0, 0), _SOFTNESS * size)
    mask[[0, -1]] = mask[:, [0, -1]] = 0  # where the face touches the crop's edge
    return mask  # type: ignore[return-value]


def teeth_score(picture: Picture, points: Array, skin: Array) -> float:
    """Return how well an open mouth shows its teeth.

    Args:
        picture: RGB, shape (H, W, 3).
        points: Face-mesh points in its pixels, shape (478, 3).
        skin: Colour of the skin in it, shape (3,): under the same light, teeth are greener, and the tongue is not.

    Returns:
        The brightness inside the lips, weighted by how green it is, summed over the opening, over the face's area.
    """
    lips = points[list(LIPS_INNER), :2]
    height, width = picture.shape[:2]
    left, top = np.clip(np.floor(lips.min(0)).astype(int), 0, (width - 1, height - 1))
    right, bottom = np.clip(np.ceil(lips.max(0)).astype(int) + 1, (left + 1, top + 1), (width, height))
    inside = np.zeros((bottom - top, right - left), np.uint8)
    cv2.fillPoly(inside, [np.rint(lips - (left, top)).astype(np.int32)], (1,))
    colors = picture[top:bottom, left:right].astype(np.float32)
    relative = colors / np.maximum(skin, _DARKEST_SKIN)
    greener = np.maximum(relative[..., 1] - relative[..., 0], 0)
    shown = colors.mean(2) * (_ANY_COLOR + greener) * inside
    return float(shown.sum() / 255) / face_rect(points, 1.0, 0.0).size ** 2


def cover_mouth(picture: Picture, points: Array) -> Picture:
    """Paint the lips' colours over the inside of an open mouth.

    Warping alone leaves a strip of teeth, or of the dark behind them, between lips that it closes: its grid is coarser
    than the edges of the lips, and landmarks lie on these edges only nearly.

    Args:
        picture: RGB, shape (H, W, 3).
        points: Face-mesh points in its pixels, shape (478, 3).

    Returns:
        A changed copy; or the picture itself if the mouth is closed, or outside.
    """
    outline = _cover_outline(points)
    if outline is None:
        return picture
    size = np.array(picture.shape[1::-1])
    margin = np.ptp(outline, axis=0).max() / 4
    left, top = np.clip(outline.min(0) - margin, 0, size).astype(int)
    right, bottom = np.clip(outline.max(0) + margin, 0, size).astype(int)
    if min(right - left, bottom - top) < 2:
        return picture
    result = picture.copy()
    box = result[top:bottom, left:right]
    box[:] = _filled_inside(box, outline - (left, top))
    return result


def _cover_outline(points: Array) -> Array | None:
    """Return the edge of the inner lips, moved into the lips, in pixels, shape (20, 2); None if they are closed."""
    inner, outer = points[list(LIPS_INNER), :2], points[list(LIPS_OUTER), :2]
    opening = np.linalg.norm(inner[1:10] - inner[:10:-1], axis=1).max()
    if opening < 1:
        return None
    thickness = np.linalg.norm(outer - inner, axis=1).mean()
    share = _INTO_LIPS * min(1.0, opening / max(thickness, 1.0))
    return inner + np.float32(share) * (outer - inner)


def _filled_inside(picture: Picture, outline: Array) -> Picture:
    """Fill an area of a picture with the colours around it, worked out on a small copy; `outline` has shape (N, 2)."""
    height, width = picture.shape[:2]
    scale = min(1.0, _COVERED_SIDE / max(height, width))
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    mask = np.zeros(small.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint((outline + 0.5) * scale - 0.5).astype(np.int32)], (255,))
    filled = cv2.resize(cv2.inpaint(small, mask, _REACH, cv2.INPAINT_TELEA), (width, height))
    share = cv2.resize(cv2.GaussianBlur(mask, (0, 0), 0.7), (width, height)).astype(np.float32) / 255
    return cv2.blendLinear(filled, picture, share, 1 - share)  # type: ignore[return-value]
