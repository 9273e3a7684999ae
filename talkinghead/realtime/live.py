"""A portrait that does what a face does, picture by picture, while the face is still there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from math import ceil
from pathlib import Path

import torch
from torch import Tensor

from liveportrait import Motion, Portrait
from liveportrait.driving_rules import neutral_frame
from liveportrait.smoothing import MotionSmoother
from talkinghead.api import read_picture
from talkinghead.driver.driver import FRAME_RATE, drive_crop, driving_rules
from talkinghead.driver.extract import FaceMotionExtractor
from talkinghead.face import FaceTracker
from talkinghead.host.isolation import own_settings
from talkinghead.media.image import Picture
from talkinghead.models import Models, load_models
from talkinghead.options import MODEL, Options, StrPath
from talkinghead.render import render, to_pictures
from talkinghead.source.image import ImageSource, open_image_source


def live(
    source: StrPath | Picture,
    frames: Iterable[Picture],
    *,
    options: Options | None = None,
    model: str | Path | Models = MODEL,
) -> Iterator[Picture]:
    """Let a portrait follow a face that is filmed while it is shown.

    Args:
        source: A picture file, or RGB of shape (H, W, 3), uint8.
        frames: Pictures of a face, RGB, uint8, one by one as they come.
        options: Everything else a user can choose; `render.fps` says how many frames come a second.
        model: "mini", "base", "animals" or a directory; or models loaded before.

    Returns:
        One picture for every frame, made when it is asked for.

    Raises:
        PortraitError: Something is wrong with what was given.

    Example:
        >>> import talkinghead
        >>> frames = talkinghead.speak("portrait.png", "voice.wav")  # in place of the pictures of a camera
        >>> for picture in talkinghead.live("portrait.png", frames):
        ...     height, width, _ = picture.shape
    """
    options = options or Options()
    models = load_models(model, options.render.device, precision=options.render.precision)
    reenactor = LiveReenactor(open_image_source(*read_picture(source), models, options.crop), models, options)
    return map(reenactor.step, frames)


class LiveReenactor:
    """Follows one face with one portrait; remembers no picture.

    In the first moments it watches the face and stays still; then changes are measured against the most neutral
    frame of these moments.

    Attributes:
        num_frames: How many pictures have been followed.
    """

    @own_settings()
    def __init__(self, source: ImageSource, models: Models, options: Options) -> None:
        """Start with nothing seen.

        Args:
            source: The picture and its face.
            models: What follows and renders.
            options: What the user wants.
        """
        fps = options.render.fps or Fraction(FRAME_RATE)
        self._source, self._models = source, models
        self._rules = driving_rules(options.drive)
        self._tracker = FaceTracker(models.faces)
        self._reader = FaceMotionExtractor(models, drive_crop(options.drive))
        self._smoother = MotionSmoother(options.drive.smooth, float(fps))
        self.num_frames = 0
        self._wait = max(ceil(options.live.calibrate * fps), 1)
        self.calibrate()

    @own_settings()
    def calibrate(self) -> None:
        """Choose the neutral frame anew, from the next moments that show the face."""
        self._watched: list[Motion] = []
        self._anchor: Motion | None = None
        self._shown = self._at_rest()

    @own_settings()
    def step(self, picture: Picture) -> Picture:
        """Take the next picture of the face, RGB of shape (H, W, 3), and return the portrait's.

        Where no face is seen the portrait stays as it was.
        """
        self.num_frames += 1
        points = self._tracker.track(picture)
        if points is None:
            return self._shown.copy()
        motion = self._smoother(self._reader.read_one(picture, points))
        if self._anchor is None:
            self._watched.append(motion)
            if len(self._watched) < self._wait:
                return self._shown.copy()
            extracted = Motion.cat(self._watched)
            self._anchor = extracted[neutral_frame(extracted)].to(self._models.device)
        self._shown = self._follow(motion)
        return self._shown.copy()

    def _follow(self, motion: Motion) -> Picture:
        anchor = self._anchor

        def pose(portrait: Portrait, part: Motion) -> Tensor:
            return self._models.portrait.driving_keypoints(portrait, part, anchor, self._rules)

        return next(render(self._models.portrait, next(self._source.source_frames()), motion, pose))

    def _at_rest(self) -> Picture:
        portrait = self._source.portrait
        with torch.inference_mode():
            crop = to_pictures(self._models.portrait.render(portrait, portrait.x_s))[0]
        return self._source.place(crop, None)
