"""Animate a portrait with camera frames as they arrive."""

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
from talkinghead.driver.driver import FRAME_RATE, drive_crop, driving_rules
from talkinghead.driver.extract import FaceMotionExtractor
from talkinghead.face import FaceTracker
from talkinghead.host.isolation import own_settings
from talkinghead.media.image import Picture
from talkinghead.models import Models, load_models_for
from talkinghead.options import MODEL, Options, StrPath
from talkinghead.render import render, toned
from talkinghead.source.given import read_picture
from talkinghead.source.image import ImageSource, open_image_source


def live(
    source: StrPath | Picture,
    frames: Iterable[Picture],
    *,
    options: Options | None = None,
    model: str | Path | Models = MODEL,
) -> Iterator[Picture]:
    """Animate a portrait with the motion of a face, frame by frame as the frames arrive.

    Args:
        source: A picture file, or RGB of shape (H, W, 3), uint8.
        frames: Pictures of a face, RGB, uint8, in the order in which they arrive.
        options: All other options; `render.fps` is the frame rate of `frames`.
        model: "mini", "base", "animals" or a directory; or the result of `load_models`.

    Returns:
        One picture for every frame, rendered on demand.

    Raises:
        PortraitError: An argument cannot be used.

    Example:
        >>> import talkinghead
        >>> frames = talkinghead.speak("portrait.png", "voice.wav")  # in place of the pictures of a camera
        >>> for picture in talkinghead.live("portrait.png", frames):
        ...     height, width, _ = picture.shape
    """
    options = options or Options()
    models = load_models_for(options.render, model)
    reenactor = LiveReenactor(open_image_source(*read_picture(source), models, options.crop), models, options)
    return map(reenactor.step, frames)


class LiveReenactor:
    """Animates one portrait with one face, without keeping frames.

    While it calibrates, the portrait stays still; afterwards motion is relative to the most neutral frame of the
    calibration.

    Attributes:
        num_frames: The number of frames so far.
    """

    @own_settings()
    def __init__(self, source: ImageSource, models: Models, options: Options) -> None:
        """Start calibrating.

        Args:
            source: The picture and its face.
            models: The loaded networks.
            options: The user's options.
        """
        fps = options.render.fps or Fraction(FRAME_RATE)
        self._source, self._models = source, models
        self._rules = driving_rules(options.drive)
        self._tracker = FaceTracker(models.faces)
        self._reader = FaceMotionExtractor(models, drive_crop(options.drive, models.portrait))
        self._smoother = MotionSmoother(options.drive.driver_smooth(source_is_smoothed=False), float(fps))
        self.num_frames = 0
        self._wait = max(ceil(options.live.calibrate * fps), 1)
        self.calibrate()

    @own_settings()
    def calibrate(self) -> None:
        """Choose a new neutral frame from the next frames that show the face."""
        self._calibration: list[Motion] = []
        self._anchor: Motion | None = None
        self._shown = self._render_still()

    @own_settings()
    def step(self, picture: Picture) -> Picture:
        """Return the portrait's picture for the next frame, RGB of shape (H, W, 3).

        If the frame shows no face, the previous picture is returned.
        """
        self.num_frames += 1
        points = self._tracker.track(picture)
        if points is None:
            return self._shown.copy()
        motion = self._smoother(self._reader.read_one(picture, points))
        if self._anchor is None:
            self._calibration.append(motion)
            if len(self._calibration) < self._wait:
                return self._shown.copy()
            calibration = Motion.cat(self._calibration)
            self._anchor = calibration[neutral_frame(calibration)].to(self._models.device)
        self._shown = self._render(motion)
        return self._shown.copy()

    def _render(self, motion: Motion) -> Picture:
        anchor = self._anchor

        def to_keypoints(portrait: Portrait, part: Motion) -> Tensor:
            return self._models.portrait.driving_keypoints(portrait, part, anchor, self._rules)

        return next(render(self._models.portrait, next(self._source.source_frames()), motion, to_keypoints))

    def _render_still(self) -> Picture:
        portrait = self._source.portrait
        with torch.inference_mode():
            crop = toned(self._models.portrait.picture_renderer(portrait), self._source.tone)(portrait.x_s, None)[0]
        return self._source.place(crop, None)
