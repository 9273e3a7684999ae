"""Split a crop into the person and the background, so that the person can move and the background stays."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from cv2.typing import MatLike
from numpy.typing import NDArray

from liveportrait.motion import Layers
from talkinghead.face.crop import Picture
from talkinghead.face.landmarks import PersonFinder

Mask = NDArray[np.float32]

EDGE = 1 / 60
"""Radius of the refinement along the picture's edges, relative to the side."""

_SMOOTH = 1e-4
_LOW, _HIGH = 0.1, 0.9
"""Probabilities that are mapped to 0 and 1."""

_MOST_DOUBTFUL = 0.12
"""Share of the crop from which too many pixels are neither clearly person nor background."""

_LEAST_BACKGROUND = 0.03
"""Share of the crop below which there is no background worth keeping still."""

_CLEAR = 0.02
"""Opacities that differ less from 0 or 1 count as background or person alone."""

_RIM = 1 / 64
"""Width of the rim between person and background in which colours are taken for mixed, relative to the side."""

_DISTINCT = 30.0
"""Distance of two colours, in levels, from which they say whether a pixel shows the person or the background."""

_UNLIKE = 0.3
"""Share of the person's colour below which a pixel beside the person shows the background alone."""

_SEEN_THROUGH = 0.1
"""Opacity from which the background behind a pixel is filled."""

_BLUR = 1 / 64
"""Deviation of the blur of what is filled, relative to the side."""

_FILLED_SIDE = 256
"""Side at which it is filled, at most: it is blurred anyway."""


def separate(crop: Picture, finder: PersonFinder) -> Layers | None:
    """Split a crop into person and background.

    Args:
        crop: RGB, shape (S, S, 3).
        finder: Segments the person.

    Returns:
        Layers of one frame that together give the crop, within one level; None if there is hardly any background, or
        no clear outline of a person.
    """
    probability = finder.find(crop)
    return split(crop, refine(probability, crop)) if is_clear(probability) else None


def refine(probability: Mask, picture: Picture) -> Mask:
    """Turn the probability that a pixel shows the person into its opacity, along the picture's edges."""
    radius = max(round(min(picture.shape[:2]) * EDGE), 2)
    fine = cv2.ximgproc.guidedFilter(picture.astype(np.float32) / 255, probability, radius, _SMOOTH)
    return ((fine - _LOW) / (_HIGH - _LOW)).clip(0, 1)


def is_clear(probability: Mask) -> bool:
    """Tell whether a person stands out from a background: few pixels are doubtful, the middle of the crop is not."""
    third = len(probability) // 3
    middle = probability[third:-third, third:-third]
    doubtful = (probability > _LOW) & (probability < _HIGH)
    return bool(
        doubtful.mean() < _MOST_DOUBTFUL and middle.mean() > _HIGH and (probability < _LOW).mean() > _LEAST_BACKGROUND
    )


def split(crop: Picture, opacity: Mask) -> Layers:
    """Split a crop by a person's opacity, which is raised where it does not explain the colours.

    The background is filled where it is hidden; its remaining pixels are the crop's.

    Args:
        crop: RGB, shape (S, S, 3).
        opacity: From 0 to 1, shape (S, S).
    """
    image = crop.astype(np.float32)
    outside, inside = (_without_rim(alone) for alone in (opacity < _CLEAR, opacity > 1 - _CLEAR))
    behind, before = fill(image, outside), fill(image, inside)
    person, background, share = image.copy(), np.where(outside[..., None], image, behind), inside.astype(np.float32)
    rim = outside == inside  # neither; all that follows is slow, and only needed there
    person[rim], background[rim], share[rim] = _unmix(image[rim], before[rim], behind[rim], opacity[rim])
    return Layers(_tensor(person / 255), _tensor(share[..., None]), _tensor(np.rint(background) / 255))


def _unmix(image: MatLike, before: MatLike, behind: MatLike, opacity: MatLike) -> tuple[MatLike, MatLike, MatLike]:
    """Divide mixed colours into the person's and the background's.

    Args:
        image: Colours of the picture, shape (N, 3), levels.
        before: The person's colours nearby.
        behind: The background's colours nearby.
        opacity: The person's, shape (N,).

    Returns:
        Colours of the person and of the background, and the opacity with which they give the picture's.
    """
    alike = _share_of_person(image, before, behind)
    opacity = np.maximum(opacity, ((alike - _UNLIKE) / (1 - _UNLIKE)).clip(0, 1))
    hidden = (opacity / _SEEN_THROUGH).clip(0, 1)[:, None]
    background = np.rint(image + hidden * (behind - image))
    opacity = np.ceil(np.maximum(opacity, _least_opacity(image, background)) * 255) / 255
    person = background + (image - background) / np.maximum(opacity, 1 / 255)[:, None]
    return person, background, opacity


def fill(image: MatLike, known: MatLike) -> MatLike:
    """Fill the unknown part of a picture with the blurred colours of the nearest known pixels.

    Args:
        image: Shape (S, S, 3), float32.
        known: 1 where the picture is known, else 0, shape (S, S), uint8.
    """
    if not known.any():
        return image
    side = min(len(image), _FILLED_SIDE)
    share = cv2.resize(known.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)[..., None]
    colors = cv2.resize(image * known[..., None], (side, side), interpolation=cv2.INTER_AREA)
    blur = (0, 0), side * _BLUR
    smooth = cv2.GaussianBlur(colors, *blur) / np.maximum(cv2.GaussianBlur(share, *blur)[..., None], 1e-3)
    filled = cv2.GaussianBlur(smooth.reshape(-1, 3)[_nearest((share[..., 0] > 0).astype(np.uint8))], *blur)
    return np.where(known[..., None], image, cv2.resize(filled.clip(0, 255), image.shape[1::-1]))


def _without_rim(area: NDArray[np.bool_]) -> MatLike:
    """Return 1 in an area but for its rim, shape (S, S), uint8."""
    return (cv2.distanceTransform(area.astype(np.uint8), cv2.DIST_L2, 5) > len(area) * _RIM).astype(np.uint8)


def _nearest(known: MatLike) -> NDArray[np.intp]:
    """Return for every pixel the flat index of the nearest known one, shape (H, W)."""
    _, labels = cv2.distanceTransformWithLabels(1 - known, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    labels = np.asarray(labels, np.intp)
    nearest = np.zeros(labels.max() + 1, np.intp)
    places = np.flatnonzero(known)
    nearest[labels.ravel()[places]] = places
    return nearest[labels]


def _share_of_person(image: MatLike, person: MatLike, background: MatLike) -> Mask:
    """Return how far each colour lies from the background's to the person's, 0 to 1; about 0 where they are alike."""
    whole = person - background
    length = (whole * whole).sum(-1)
    along = ((image - background) * whole).sum(-1) / np.maximum(length, 1)
    return along.clip(0, 1) * length / (length + _DISTINCT**2)


def _least_opacity(image: MatLike, background: MatLike) -> Mask:
    """Return the smallest opacity at which some colour in front of the background gives the picture's."""
    own = image - background
    return np.where(own < 0, -own / np.maximum(background, 1), own / np.maximum(255 - background, 1)).max(-1)


def _tensor(picture: MatLike) -> torch.Tensor:
    """Convert (H, W, C) to one frame (1, C, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32))
