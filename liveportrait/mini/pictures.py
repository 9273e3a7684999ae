"""Render on a CPU: the networks as in `renderer`, and what touches every pixel with OpenCV, in eight bits.

It shows the same as `MiniLivePortrait.render` within about one level, in a fifth of the time outside the networks.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from cv2.typing import MatLike
from numpy.typing import NDArray
from torch import Tensor

from liveportrait.mini.exposure import brighten, exposure
from liveportrait.mini.lid_color import LidColors, read_lid_colors
from liveportrait.mini.painted import OpenMouth, PaintedPatch
from liveportrait.mini.renderer import SEEN_SIZE, MiniConfig, MiniRenderer
from liveportrait.mini.teeth import NO_TEETH, Teeth
from liveportrait.mini.warp import Warp
from liveportrait.motion import Portrait
from liveportrait.pictures import LEVELS, Picture, to_pictures

Places = tuple[NDArray[np.int16], NDArray[np.uint16]]
"""Whole and fractional parts of positions in a picture, as `cv2.convertMaps` gives them."""


@dataclass(frozen=True)
class CpuSource:
    """What all pictures of one portrait share.

    Attributes:
        x_s: Source keypoints, shape (1, K, 3).
        features: The painters' features of mouth, left and right eye.
        picture: The crop, shape (S, S, 3); or if it has layers the person, with its opacity as fourth channel.
        background: The background, shape (S, S, 3), or None if the crop has no layers.
        edges: The picture's edges, shape (1, 4, 3), or None.
        painted: The brightened crop at the painters' size, shape (1, 3, P, P).
        small: The brightened crop at the flow network's size, shape (1, 3, SEEN_SIZE, SEEN_SIZE).
        factor: The brightening, shape (1, 1, 1, 1).
        mouth: Shows the inside of the mouth, or None.
        teeth: Shown where its mouth is shut, or None.
        lids: Colours of the lids.
    """

    x_s: Tensor
    features: list[Tensor]
    picture: Picture
    background: Picture | None
    edges: Tensor | None
    painted: Tensor
    small: Tensor
    factor: Tensor
    lids: LidColors
    mouth: OpenMouth | None = None
    teeth: Teeth | None = None


def prepare_source(renderer: MiniRenderer, portrait: Portrait, mouth: OpenMouth | None = None) -> CpuSource:
    """Prepare one portrait for `render_pictures`; `mouth` is that of `Portrait.mouth`."""
    image = portrait.crop.image
    small = seen_size(image)
    factor = exposure(small, portrait.x_s)
    layers, painted = portrait.crop.layers, brighten(painted_size(image, renderer.config), factor)
    return CpuSource(
        portrait.x_s,
        renderer.unpack(portrait.f_s, 1),
        to_pictures(image if layers is None else torch.cat([layers.person, layers.opacity], 1))[0],
        None if layers is None else to_pictures(layers.background)[0],
        portrait.crop.edges,
        painted,
        brighten(small, factor),
        factor,
        read_lid_colors(painted, portrait.x_s, renderer.face),
        mouth,
        take_teeth(renderer, portrait),
    )


def take_teeth(renderer: MiniRenderer, portrait: Portrait) -> Teeth | None:
    """Fetch a portrait's teeth, if the renderer has any."""
    if renderer.teeth is None or portrait.teeth is None or (portrait.teeth == NO_TEETH).all():
        return None
    return renderer.teeth.take(portrait.teeth, portrait.x_s, renderer.face)


def open_mouth(renderer: MiniRenderer, portrait: Portrait) -> OpenMouth:
    """Prepare a portrait whose mouth other pictures of the face show."""
    image, (features, *_) = portrait.crop.image, renderer.unpack(portrait.f_s, 1)
    factor = exposure(seen_size(image), portrait.x_s)
    return OpenMouth(portrait.x_s, brighten(image, factor), features)


def render_pictures(renderer: MiniRenderer, source: CpuSource, x_d: Tensor, dense_residual: Tensor | None) -> Picture:
    """Render one portrait as pictures.

    Args:
        renderer: The networks.
        source: From `prepare_source`.
        x_d: Driving keypoints, shape (T, K, 3).
        dense_residual: As in `PortraitModel.render`, shape (T, 3, G, G), or None.

    Returns:
        RGB, shape (T, S, S, 3).
    """
    count = len(x_d)
    small, painted = (each.expand(count, -1, -1, -1) for each in (source.small, source.painted))
    warp = renderer.warp(small, source.x_s, x_d)
    if dense_residual is not None:
        warp = renderer.apply_dense_residual(warp, small, dense_residual, x_d)
    warp = warp.kept_inside(source.edges)
    places = source_places(warp, len(source.picture))
    warped = [cv2.remap(source.picture, *place, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE) for place in places]
    pictures = add_light(warped, warp.darkened(source.factor))
    features = [feature.expand(count, -1, -1, -1) for feature in source.features]
    inside = source.mouth, source.teeth, source.lids
    for patch in renderer.paint(painted, features, warp, source.x_s, x_d, *inside, sparing=True):
        blend_patch(pictures, patch.darkened(source.factor))
    if source.background is not None:
        for picture, person in zip(pictures, warped, strict=True):
            put_before(source.background, picture, cv2.extractChannel(person, 3))
    return pictures


def source_places(warp: Warp, side: int) -> list[Places]:
    """Return the source position of every pixel of a warped picture, rounded to 1/32 pixel, as `cv2.remap` takes it."""
    places = ((warp.flow + 1) * (side / 2) - 0.5).numpy()
    return [cv2.convertMaps(cv2.resize(place, (side, side)), None, cv2.CV_16SC2) for place in places]  # type: ignore[call-overload]


def add_light(warped: list[MatLike], warp: Warp) -> Picture:
    """Return the colours of warped pictures (S, S, 3 or 4) with the light of their warp, shape (T, S, S, 3)."""
    side = len(warped[0])
    lights = (warp.light * LEVELS).permute(0, 2, 3, 1).contiguous().numpy()
    lit = np.empty((len(warped), side, side, 3), np.uint8)
    for out, picture, light in zip(lit, warped, lights, strict=True):
        colours = picture if picture.shape[2] == 3 else cv2.cvtColor(picture, cv2.COLOR_RGBA2RGB)
        cv2.add(colours, cv2.resize(light, (side, side)), out, dtype=cv2.CV_8U)
    return lit


def put_before(background: Picture, person: Picture, opacity: MatLike) -> None:
    """Blend a person (S, S, 3) with the background, in place."""
    share = cv2.merge([opacity] * 3)
    behind = cv2.multiply(background, cv2.bitwise_not(share), scale=1 / LEVELS)
    cv2.add(cv2.multiply(person, share, scale=1 / LEVELS), behind, person)


def blend_patch(pictures: Picture, patch: PaintedPatch) -> None:
    """Blend a painted patch into pictures (T, S, S, 3), in place, like `PaintedPatch.blend_into`."""
    which, places, painted = patch
    layers = torch.cat([painted.addition * LEVELS, 1 - painted.veil], 1).permute(0, 2, 3, 1).contiguous()
    shown = pictures if isinstance(which, slice) else [pictures[n] for n in which]
    for each in zip(shown, places.double().numpy(), layers.numpy(), strict=True):
        _blend(*each)


def _blend(picture: Picture, place: NDArray[np.float64], patch: NDArray[np.float32]) -> None:
    """Multiply the picture by the last channel of a patch, and add the others."""
    side, size = len(picture), len(patch)
    matrix = side / 2 * place  # from patch coordinates, ±1 at the edges, to pixels of the picture
    matrix[:, 2] += side / 2 - 0.5
    matrix[:, 2] += matrix[:, :2].sum(1) * (1 / size - 1)  # from the patch's pixels
    matrix[:, :2] *= 2 / size
    corners = matrix @ np.array([[-1, size, size, -1], [-1, -1, size, size], [1, 1, 1, 1]])
    left, top = np.clip(np.floor(corners.min(1)), 0, side).astype(int)
    right, bottom = np.clip(np.ceil(corners.max(1)) + 1, 0, side).astype(int)
    if right <= left or bottom <= top:
        return
    matrix[:, 2] -= (left, top)
    shape, box = (int(right - left), int(bottom - top)), picture[top:bottom, left:right]
    warped = cv2.warpAffine(patch, matrix, shape, borderValue=(0, 0, 0, 1))
    share = cv2.merge([cv2.extractChannel(warped, 3)] * 3)
    remaining = cv2.multiply(box, share, share, dtype=cv2.CV_32F)
    added = cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB)
    cv2.add(added, remaining, box, dtype=cv2.CV_8U)  # rounds, and clips to eight bits


def seen_size(crop: Tensor) -> Tensor:
    """Downsample crops (T, 3, S, S) to the input size of the flow network."""
    return F.interpolate(crop, (SEEN_SIZE, SEEN_SIZE), mode="area")


def painted_size(crop: Tensor, config: MiniConfig) -> Tensor:
    """Downsample crops (T, 3, S, S) to the size on which the painters were trained."""
    size = min(crop.shape[-1], config.painted_size)
    return F.interpolate(crop, (size, size), mode="area")
