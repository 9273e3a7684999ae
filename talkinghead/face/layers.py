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
from talkinghead.face.texture import continue_texture

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

_DISTINCT = 20.0
"""Distance of two colours, in levels, from which they say whether a pixel shows the person or the background."""

_UNLIKE = 0.3
"""Share of the person's colour below which a pixel shows the background alone; and of the background's likewise."""

_SAMPLES, _APART = 3, 1 / 128
"""Colours are compared with those nearby: so many to each side, at this distance relative to the side."""

_EDGE_WIDTH = 1 / 128
"""Width of the person's edge where colours say nothing, relative to the side."""

_LOOSE = 1 / 64
"""How far beside the outline colours alone tell hair from background, relative to the side; farther out ever less."""

_BESIDE, _BESIDE_SMOOTH = 1 / 100, 1 / 32
"""How far beside the person a textured and a smooth background is filled, relative to the side, so that no outline and
no loose hair stays behind."""

_ROUGH = 9.0
"""Standard deviation of the background nearby, in levels, up to which it is smooth; from twice that it is textured."""

_NEARBY, _BLURRED_SIDE = 1 / 40, 256
"""Deviation of the blur that averages what is nearby, relative to the side; and the side at which it blurs, at most."""

_NO_COLOUR = np.float32(1e4)  # stands for a colour that is not known: none is like it

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
    """Split a crop by a person's opacity, which is corrected where it does not explain the colours.

    The background is filled where it is hidden; its remaining pixels are the crop's.

    Args:
        crop: RGB, shape (S, S, 3).
        opacity: From 0 to 1, shape (S, S).
    """
    image = crop.astype(np.float32)
    outside, inside = (_without_rim(alone) for alone in (opacity < _CLEAR, opacity > 1 - _CLEAR))
    share = _person_alone(_by_colours(image, opacity, outside, inside))
    background = _background(crop, share, _smoothness(image, outside))
    share = np.maximum(share, _least_opacity(image, background))
    share = np.ceil((share * 255 - 1e-3).clip(0))[..., None] / 255
    person = np.where(share < 1, background + (image - background) / np.maximum(share, 1 / 255), image)
    return Layers(_tensor(person.clip(0, 255) / 255), _tensor(share), _tensor(background / 255))


def _by_colours(image: MatLike, opacity: Mask, outside: MatLike, inside: MatLike) -> Mask:
    """Correct the opacity in the rim by whether colours are more like the person's or the background's nearby.

    Each of a texture's colours counts, not their mean, so that letters and stripes beside the person are background.
    What lies inside the outline stays the person's.

    Args:
        image: Shape (S, S, 3), float32.
        opacity: Shape (S, S).
        outside: 1 where there is background alone, else 0, shape (S, S), uint8.
        inside: The same of the person.
    """
    if not outside.any() or not inside.any():
        return opacity
    share = inside.astype(np.float32)
    rim = np.nonzero(outside == inside)  # neither; all that follows is slow, and only needed there
    to_background, to_person = (_nearest_colour(image, known, rim) for known in (outside, inside))
    squares = to_background**2 + to_person**2
    alike = to_background / np.maximum(to_background + to_person, 1)
    alike = ((alike - _UNLIKE) / (1 - 2 * _UNLIKE)).clip(0, 1)
    beside = _beside(opacity > 0.5)[rim] / len(image)
    outline = (0.5 - beside / _EDGE_WIDTH).clip(0, 1)
    raising = (2 - beside / _LOOSE).clip(0, 1)
    lowering = (1 + beside / _EDGE_WIDTH).clip(0, 1) ** 2
    heard = squares / (squares + _DISTINCT**2) * np.where(alike > outline, raising, lowering)
    share[rim] = outline + heard * (alike - outline)
    return cv2.GaussianBlur(cv2.medianBlur(share, 3), (0, 0), len(image) / 700).clip(0, 1)


def _background(crop: Picture, opacity: Mask, smoothness: Mask) -> MatLike:
    """Fill the background behind a person and just beside: smooth walls by blurred colours, others by texture, too.

    Returns:
        Whole levels, float32, shape (S, S, 3).
    """
    image = crop.astype(np.float32)
    reach = _BESIDE + smoothness * (_BESIDE_SMOOTH - _BESIDE)
    away = cv2.distanceTransform((opacity < 0.5).astype(np.uint8), cv2.DIST_L2, 5) / (len(crop) * reach)
    known = ((opacity < _CLEAR) & (away > 1)).astype(np.uint8)
    copied, trust = continue_texture(crop, known, smoothness < 1)
    blurred = fill(image, known)
    behind = np.where(known[..., None], image, blurred + (1 - smoothness[..., None]) * trust * (copied - blurred))
    hidden = np.maximum((2 - 2 * away).clip(0, 1), _most_hidden(image, behind, opacity))[..., None]
    return np.rint(image + hidden * (behind - image))


def _smoothness(image: MatLike, outside: MatLike) -> Mask:
    """Return how smooth the background near each pixel is, from 0 to 1, shape (S, S)."""
    known = outside.astype(np.float32)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) * known
    size = (min(len(image), _BLURRED_SIDE),) * 2
    share, mean, square = (
        cv2.GaussianBlur(cv2.resize(each, size, interpolation=cv2.INTER_AREA), (0, 0), size[0] * _NEARBY)
        for each in (known, grey, grey * grey)
    )
    share = np.maximum(share, 1e-6)
    mean, square = mean / share, square / share
    smoothness = (2 - np.sqrt(np.maximum(square - mean * mean, 0)) / _ROUGH).clip(0, 1)
    return cv2.resize(smoothness, known.shape).astype(np.float32, copy=False)


def _nearest_colour(image: MatLike, known: MatLike, places: tuple[NDArray[np.intp], ...]) -> Mask:
    """Return how far each place's colour is from the most similar of the known ones nearby, in levels."""
    side, own = len(image), np.ascontiguousarray(image[places].T)
    planes = np.where(known, image.transpose(2, 0, 1), _NO_COLOUR).reshape(3, -1)
    rows, columns = np.divmod(_nearest(known)[places], side)
    steps = np.arange(-_SAMPLES, _SAMPLES + 1) * max(round(side * _APART), 1)
    least = np.full(len(rows), np.inf, np.float32)
    beside = [(columns + step).clip(0, side - 1) for step in steps]
    for begin in ((rows + step).clip(0, side - 1) * side for step in steps):
        for at in (begin + column for column in beside):
            red, green, blue = (plane.take(at, mode="clip") - colour for plane, colour in zip(planes, own, strict=True))
            np.minimum(least, red * red + green * green + blue * blue, out=least)
    return np.sqrt(least)


def _beside(person: NDArray[np.bool_]) -> Mask:
    """Return the distance from a person's outline in pixels, negative inside."""
    inside = person.astype(np.uint8)
    return cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5) - cv2.distanceTransform(inside, cv2.DIST_L2, 5)


def _person_alone(opacity: Mask) -> Mask:
    """Clear what is not connected with the largest part."""
    _, labels, figures, _ = cv2.connectedComponentsWithStats((opacity > _SEEN_THROUGH).astype(np.uint8))
    if len(figures) < 3:
        return opacity
    largest = (labels == 1 + figures[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)
    return opacity * cv2.dilate(largest, np.ones((3, 3), np.uint8))


def _most_hidden(image: MatLike, behind: MatLike, opacity: Mask) -> Mask:
    """Return how far the background may be replaced: in full behind the person; less where it is hardly covered.

    A thin cover can hide no more than what still explains the picture, or else background would count as person.
    """
    share, change = opacity[..., None], np.abs(behind - image)
    room = np.where(behind > image, image, 255 - image)
    most = (share * room / np.maximum((1 - share) * change, 1e-3)).min(-1)
    return np.minimum((opacity / _SEEN_THROUGH).clip(0, 1), np.maximum(most, 2 * opacity - 0.5).clip(0, 1))


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


def _least_opacity(image: MatLike, background: MatLike) -> Mask:
    """Return the smallest opacity at which some colour in front of the background gives the picture's."""
    own = image - background
    return np.where(own < 0, -own / np.maximum(background, 1), own / np.maximum(255 - background, 1)).max(-1)


def _tensor(picture: MatLike) -> torch.Tensor:
    """Convert (H, W, C) to one frame (1, C, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32))
