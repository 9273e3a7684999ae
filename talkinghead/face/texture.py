"""Continue the texture of a picture into its unknown part, patch by patch, from its border inwards."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from talkinghead.face.crop import Picture

DEPTH = 1 / 14
"""How far the texture reaches into the unknown part, relative to the side."""

_MATCHED_SIDE = 256
"""Side at which patches are compared, at most; what is copied is as sharp as the picture."""

_HALF_PATCH = 6
"""Half the width of a patch, in pixels of that side."""

_FAR = 1 / 5
"""How far away a patch's likeness is searched for, relative to the side."""

_GOOD, _BAD = 12.0, 24.0
"""Root mean square difference of patches, in levels, up to which they are copied in full and from which not at all."""

_SHARP = 10.0
"""Blurred gradient, in levels, that counts as much as being surrounded by known pixels."""


class _Copies(NamedTuple):
    """Where to copy from, at the side at which patches are compared.

    Attributes:
        shift: From each pixel to its likeness, as rows and columns, shape (S, S, 2).
        share: How well patches matched, from 0 to 1, shape (S, S); 0 where nothing is copied.
    """

    shift: NDArray[np.intp]
    share: NDArray[np.float32]


def continue_texture(picture: Picture, known: MatLike, wanted: NDArray[np.bool_]) -> tuple[MatLike, MatLike]:
    """Copy patches into the unknown part of a picture, from places whose surroundings are alike.

    Args:
        picture: RGB, shape (S, S, 3).
        known: 1 where the picture is known, else 0, shape (S, S), uint8. Only known pixels are copied.
        wanted: Where texture is wanted, shape (S, S).

    Returns:
        The copied colours, float32, shape (S, S, 3); and how far to trust them, from 0 to 1, shape (S, S, 1): less the
        deeper they lie, and not where patches did not match.
    """
    side = len(picture)
    small = min(side, _MATCHED_SIDE)
    whole = cv2.resize(known.astype(np.float32), (small, small), interpolation=cv2.INTER_AREA) > 0.999
    place = np.arange(side) * small // side
    wanted = cv2.resize(wanted.astype(np.uint8), (small, small), interpolation=cv2.INTER_NEAREST) > 0
    shrunk = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
    copies = _match(shrunk.astype(np.uint8), whole, wanted)
    rows, columns = (np.rint(copies.shift[place][:, place, axis] * (side / small)).astype(np.intp) for axis in (0, 1))
    rows, columns = (rows + np.arange(side)[:, None]).clip(0, side - 1), (columns + np.arange(side)).clip(0, side - 1)
    deep = cv2.distanceTransform(1 - known, cv2.DIST_L2, 5) / (side * DEPTH)
    share = cv2.resize(copies.share, (side, side)) * (3 - 3 * deep).clip(0, 1) * known[rows, columns]
    return picture[rows, columns].astype(np.float32), share[..., None]


def _match(picture: Picture, known: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> _Copies:
    """Find a likeness for every patch at the border, those first whose surroundings say most."""
    side, half = len(picture), _HALF_PATCH
    shown, sure = picture.copy(), known.astype(np.float32)
    whole = cv2.erode(known.astype(np.uint8), np.ones((2 * half + 1,) * 2, np.uint8))
    inner = np.zeros_like(known)
    inner[half:-half, half:-half] = True
    whole = (whole > 0) & inner
    away = cv2.distanceTransform(1 - known.astype(np.uint8), cv2.DIST_L2, 5)
    open_ = ~known & wanted & inner & (away < side * DEPTH)
    copies = _Copies(np.zeros((side, side, 2), np.intp), np.zeros((side, side), np.float32))
    taken, urgent = known.copy(), 1 + _edges(picture, known) / _SHARP
    while open_.any():
        order = np.where(open_, cv2.blur(taken.astype(np.float32), (2 * half + 1,) * 2) * urgent, 0)
        if order.max() <= 0:  # nothing is known around what is left
            break
        y, x = (int(axis) for axis in np.unravel_index(order.argmax(), order.shape))
        patch = np.s_[y - half : y + half + 1, x - half : x + half + 1]
        open_[patch] = False
        found = _likeness(shown, picture, taken, whole, (y, x))
        if found is None:
            continue
        (row, column), error = found
        new = ~taken[patch]
        trust = np.clip((_BAD - error) / (_BAD - _GOOD), 0, 1) * sure[patch][~new].mean()
        shown[patch][new] = picture[row - half : row + half + 1, column - half : column + half + 1][new]
        copies.shift[patch][new], copies.share[patch][new], sure[patch][new] = (row - y, column - x), trust, trust
        taken[patch] = True
    return copies._replace(share=cv2.blur(copies.share + known, (3, 3)))


def _likeness(
    shown: Picture, picture: Picture, taken: NDArray[np.bool_], whole: NDArray[np.bool_], center: tuple[int, int]
) -> tuple[tuple[int, int], float] | None:
    """Find the known patch that is most like what is taken of a patch.

    Returns:
        Its centre, row and column, and the root mean square difference in levels; None if no patch is near.
    """
    half, reach, (y, x) = _HALF_PATCH, round(len(picture) * _FAR), center
    (top, bottom), (left, right) = ((max(at - reach, half), min(at + reach, len(picture) - half - 1)) for at in center)
    allowed = whole[top : bottom + 1, left : right + 1]
    if not allowed.any():
        return None
    own = np.s_[y - half : y + half + 1, x - half : x + half + 1]
    counted = np.repeat(taken[own][..., None], 3, 2).astype(np.float32)
    area = picture[top - half : bottom + half + 1, left - half : right + half + 1].astype(np.float32)
    error = cv2.matchTemplate(area, shown[own].astype(np.float32), cv2.TM_SQDIFF, mask=counted) / counted.sum()
    rows, columns = np.ogrid[top : bottom + 1, left : right + 1]
    cost = np.where(allowed, error + np.hypot(rows - y, columns - x) / 100, np.inf)
    row, column = (int(axis) for axis in np.unravel_index(cost.argmin(), cost.shape))
    return (top + row, left + column), float(np.sqrt(max(error[row, column], 0)))


def _edges(picture: Picture, known: NDArray[np.bool_]) -> MatLike:
    """Return the blurred gradient of the known part, in levels."""
    around = np.ones((3, 3), np.uint8)
    gradient = cv2.morphologyEx(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.MORPH_GRADIENT, around)
    gradient *= cv2.erode(known.astype(np.uint8), around)
    return cv2.GaussianBlur(gradient.astype(np.float32), (0, 0), _HALF_PATCH / 2)
