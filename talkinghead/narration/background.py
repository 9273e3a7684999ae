"""Backgrounds: a colour, a picture, or a video that loops."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import InputNotFoundError, OptionError
from talkinghead.media.files import require_file
from talkinghead.media.image import Picture
from talkinghead.media.video import VideoFile, read_frames, read_picture_or_video
from talkinghead.narration.layouts import LayoutBox, window
from talkinghead.narration.options import read_colour
from talkinghead.narration.work import hash_files
from talkinghead.source.video import steady


@dataclass(frozen=True)
class Background:
    """The background of a portrait or of the whole picture.

    Attributes:
        identity: Identifies its content, for hashes.
        still: The picture; a colour is a picture of one pixel.
        video: The video, if it is one.
    """

    identity: str
    still: Picture | None = None
    video: VideoFile | None = None

    def pictures(self, size: tuple[int, int], start: int, fps: Fraction) -> Iterator[Picture]:
        """Yield endless pictures of the background, cropped to a size.

        Args:
            size: (height, width).
            start: Index of the first frame, since a video continues from shot to shot.
            fps: Frames per second.
        """
        if self.still is not None:
            return repeat(cover(self.still, size))
        return self._moving(size, start, fps)

    def place_in_time(self, start: int, fps: Fraction) -> str:
        """Return what identifies a start frame: the time in the loop of a video, otherwise an empty string."""
        return "" if self.video is None else f"{start / fps % self._seconds}"

    @property
    def _seconds(self) -> Fraction:
        return self.video.num_frames / self.video.fps if self.video else Fraction(0)

    def _moving(self, size: tuple[int, int], start: int, fps: Fraction) -> Iterator[Picture]:
        assert self.video is not None
        rate = self.video.fps / fps
        wanted = start  # index of the next frame to yield
        passed = int(start / fps // self._seconds) * self.video.num_frames  # frames of the looped video before this one
        while True:
            for frame in islice(steady(read_frames(self.video.file), self.video.fps), self.video.num_frames):
                passed += 1
                if wanted * rate >= passed:
                    continue
                shown = cover(frame.picture, size)
                while wanted * rate < passed:
                    yield shown
                    wanted += 1


def open_background(given: str) -> Background:
    """Open a background: a CSS colour, a picture or a video.

    Raises:
        OptionError: It is neither a colour nor a file.
        PortraitError: The file cannot be read.
    """
    file = Path(given)
    if os.path.exists(file):  # unlike `Path.exists`, this accepts names that are too long for a file
        require_file(file, OptionError)
        identity = hash_files([file])
        shown = read_picture_or_video(file)
        return Background(identity, video=shown) if isinstance(shown, VideoFile) else Background(identity, shown)
    if file.suffix:
        raise InputNotFoundError(f"{file}: no such file; a background is a colour, a picture or a video")
    colour = read_colour(given)
    if colour is None:
        raise OptionError(f"background {given!r} is neither a colour such as #203040 or white nor a file")
    return Background(str(colour), np.array(colour, np.uint8).reshape(1, 1, 3))


def cover(picture: Picture, size: tuple[int, int]) -> Picture:
    """Crop and resize a picture to a size, keeping its middle."""
    height, width = picture.shape[:2]
    cut = window((height, width), LayoutBox(0, 0, *size), (width / 2, height / 2)) if height * width > 1 else None
    shown = picture if cut is None else picture[cut.rows, cut.columns]
    return resized(shown, size)


def resized(picture: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Resize a picture or a mask to (height, width)."""
    if picture.shape[:2] == size:
        return picture
    smaller = size[0] < picture.shape[0]
    return cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
