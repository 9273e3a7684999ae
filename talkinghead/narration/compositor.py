"""Compose portraits, backgrounds and slides into one picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from talkinghead.media.image import Picture
from talkinghead.media.video import VideoFile, first_picture, read_picture_or_video
from talkinghead.models import Models
from talkinghead.narration.background import Background, resized
from talkinghead.narration.layouts import Layout, LayoutBox, window
from talkinghead.narration.matte import Mask, Matte
from talkinghead.options import MAX_SIDE, CropOptions
from talkinghead.source.dubbed import DubbedVideo, open_dubbed
from talkinghead.source.image import ImageSource, open_image_source

_MARGIN = (24, 26, 30)
"""Colour of the margins beside a slide that does not fill its box."""

_SMALLEST = 64
"""Smallest longer side of a portrait in pixels."""


@dataclass(frozen=True)
class PlacedSource:
    """A speaker's portrait in its box.

    Attributes:
        source: The portrait.
        box: Its place in the picture.
        view: The part of the portrait that is shown.
        matte: Separates the person from the portrait's own background; None to show that too.
        background: Replaces the portrait's own background; None for transparency.
    """

    source: ImageSource | DubbedVideo
    box: LayoutBox
    view: LayoutBox
    matte: Matte | None = None
    background: Background | None = None

    def show(self, picture: Picture, behind: Picture | None) -> tuple[Picture, Mask | None]:
        """Return a picture of the portrait at the size of its box, and its opacity, None for opaque."""
        size = (self.box.height, self.box.width)
        shown = resized(picture[self.view.rows, self.view.columns], size)
        if self.matte is None:
            return shown, _disc(size) if self.box.round else None
        person = resized(self.matte.alpha(picture)[self.view.rows, self.view.columns], size)
        if behind is not None:
            shown, person = cv2.blendLinear(shown, behind, person, 1 - person), None
        if self.box.round:
            person = _disc(size) if person is None else person * _disc(size)
        return shown, person  # type: ignore[return-value]


def place_source(
    portrait: Path, box: LayoutBox, models: Models, options: CropOptions, background: Background | None, *, alpha: bool
) -> PlacedSource:
    """Open a portrait and fit it into its box.

    Args:
        portrait: The file of the picture, or of a video whose mouth will speak.
        box: Its place in the picture.
        models: The loaded networks.
        options: Which face to use and how to crop; `size` is ignored.
        background: Replaces the portrait's own background; None to keep it.
        alpha: Whether to make the background transparent.
    """
    shown = read_picture_or_video(portrait)
    if box.round or options.face_only:
        options = replace(options, face_only=True, size=max(box.height, box.width, _SMALLEST))
    else:
        options = replace(options, size=_longest(first_picture(shown), box))
    if isinstance(shown, VideoFile):
        source = open_dubbed(shown, models, options)
    else:
        source = open_image_source(shown, str(portrait), models, options)
    view = window(source.size, box, _face_center(source))
    matte = Matte(source, models.portrait.crop_size, cropped=options.face_only) if background or alpha else None
    return PlacedSource(source, box, view, matte, background)


@dataclass(frozen=True)
class ShotCompositor:
    """Composes the pictures of one shot.

    Attributes:
        layout: The layout of the picture.
        canvas: The pictures under everything else, RGB or RGBA, of the layout's size, endless.
    """

    layout: Layout
    canvas: Iterator[Picture]

    def compose(
        self, placed: Sequence[PlacedSource], pictures: Sequence[Picture], behind: Sequence[Picture | None]
    ) -> Picture:
        """Return the next picture of the video.

        Args:
            placed: The visible portraits.
            pictures: The current picture of each.
            behind: The current background of each.
        """
        out = next(self.canvas).copy()
        for each, picture, backdrop in zip(placed, pictures, behind, strict=True):
            shown, alpha = each.show(picture, backdrop)
            _overlay(out[each.box.rows, each.box.columns], shown, alpha)
        return out


def draw_slide(slide: Picture, layout: Layout, *, alpha: bool) -> Picture:
    """Return a canvas with a slide in its box, as large as possible without cropping."""
    canvas = blank(layout, alpha=alpha)
    if layout.slide is None:
        return canvas
    place = canvas[layout.slide.rows, layout.slide.columns]
    place[..., :3] = _MARGIN
    ratio = min(place.shape[0] / slide.shape[0], place.shape[1] / slide.shape[1])
    height, width = (max(int(side * ratio), 1) for side in slide.shape[:2])
    top, left = (place.shape[0] - height) // 2, (place.shape[1] - width) // 2
    place[top : top + height, left : left + width, :3] = resized(slide, (height, width))
    return canvas


def blank(layout: Layout, *, alpha: bool) -> Picture:
    """Return an empty canvas: transparent, or of the margin's colour."""
    if alpha:
        return np.zeros((*layout.size, 4), np.uint8)
    return np.full((*layout.size, 3), _MARGIN, np.uint8)


def _overlay(place: Picture, shown: Picture, alpha: Mask | None) -> None:
    """Blend a picture into a part of another one, RGB, or RGBA that is still transparent."""
    if place.shape[2] == 4:
        place[..., :3] = shown
        place[..., 3] = 255 if alpha is None else np.rint(alpha * 255)
    elif alpha is None:
        place[...] = shown
    else:
        place[...] = cv2.blendLinear(shown, np.ascontiguousarray(place), alpha, 1 - alpha)


@lru_cache(maxsize=8)
def _disc(size: tuple[int, int]) -> Mask:
    """Draw a circle that touches the edges of its box, with an edge one pixel soft."""
    rows, columns = (np.arange(side, dtype=np.float32) - (side - 1) / 2 for side in size)
    distance = np.hypot(rows[:, None], columns[None])
    return (min(size) / 2 - distance + 0.5).clip(0, 1).astype(np.float32)


def _face_center(source: ImageSource | DubbedVideo) -> tuple[float, float]:
    """Return the (x, y) of the face in the pictures of the video."""
    if isinstance(source, DubbedVideo):
        return source.face_center()
    middle = source.frame.points_to_image(np.full((1, 2), source.frame.size / 2, np.float32))
    x, y = (middle if source.window is None else source.window.points_to_crop(middle))[0]
    return float(x), float(y)


def _longest(picture: Picture, box: LayoutBox) -> int:
    """Return the longer side that a picture needs to fill a box."""
    height, width = picture.shape[:2]
    ratio = max(box.height / height, box.width / width)
    return min(max(round(max(height, width) * ratio), _SMALLEST), MAX_SIDE)
