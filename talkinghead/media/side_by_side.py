"""Put the source and the drivers beside a video."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import repeat

import cv2
import numpy as np

from talkinghead.media.image import Picture
from talkinghead.pipeline import DrivenFace, Video

PANEL_HEIGHT = 512
"""Largest height of the columns in pixels."""

Column = Callable[[], Iterator[Picture]]
"""Yields pictures of one size from the first one on; the last one is repeated if there are too few."""


def beside_inputs(video: Video, faces: Sequence[DrivenFace]) -> Video:
    """Put a video to the right of its source and of its drivers that have pictures."""
    drivers = [face.driver.pictures for face in faces if face.driver.pictures]
    return side_by_side(video, [faces[0].source.pictures, *drivers])


def side_by_side(video: Video, columns: Sequence[Column]) -> Video:
    """Put columns to the left of a video, all at one height; the length of the video does not change."""
    height = min(video.size[0], PANEL_HEIGHT)
    sizes = [*(next(column()).shape for column in columns), video.size]
    widths = [max(round(size[1] * height / size[0]), 1) for size in sizes]

    def pictures() -> Iterator[Picture]:
        others = [_endless(column()) for column in columns]
        for own in video:
            panels = [*map(next, others), own]
            yield np.hstack([_panel(panel, height, width) for panel, width in zip(panels, widths, strict=True)])

    return replace(video, pictures=pictures, shown_size=(height, sum(widths)))


def _endless(pictures: Iterator[Picture]) -> Iterator[Picture]:
    picture = next(pictures)
    yield picture
    for picture in pictures:
        yield picture
    yield from repeat(picture)


def _panel(picture: Picture, height: int, width: int) -> Picture:
    smaller = len(picture) > height
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)  # type: ignore[return-value]
