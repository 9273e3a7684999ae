"""Animate a source with a voice, with drivers or with sliders. Start reading here."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from audio2motion import FRAME_RATE
from liveportrait import Motion, Portrait
from liveportrait.smoothing import MotionSmoother
from liveportrait.streams import tee
from talkinghead.driver.driver import Driver, driving_rules, extend
from talkinghead.driver.idle import idle_motion
from talkinghead.driver.reference import extract_reference
from talkinghead.driver.resample import Frames, in_batches, retime
from talkinghead.driver.sliders import SliderTrack
from talkinghead.driver.speech import generate_motion, sampling_rules
from talkinghead.host.isolation import made_with_own, own_settings
from talkinghead.media.audio import Sound, stream_mono_16k
from talkinghead.media.copying import Changes
from talkinghead.media.image import Picture
from talkinghead.models import Models
from talkinghead.options import Options
from talkinghead.render import ToKeypoints, render_ahead, rendered_at_once
from talkinghead.source.dubbed import DubbedVideo
from talkinghead.source.image import ImageSource, SourceFrame
from talkinghead.source.video import VideoSource

Compositor = Callable[[Iterator[Picture | None]], Iterator[Picture]]
"""Animates one face in pictures in which other faces are animated already."""


Part = TypeVar("Part")

_NO_KEYPOINTS = torch.zeros(1, 0, 3, dtype=torch.float32)
"""The keypoints of one frame without the face."""


class DrivenFace(NamedTuple):
    """A face of the source and its driver."""

    source: ImageSource | VideoSource
    driver: Driver


def animate(
    source: ImageSource,
    driving: Iterable[Frames],
    to_keypoints: ToKeypoints[Frames],
    models: Models,
    options: Options,
    backgrounds: Iterator[Picture | None] = itertools.repeat(None),  # noqa: B008 — has no state
) -> Iterator[Picture]:
    """Animate one face of a picture in constant memory.

    Args:
        source: The picture and its face.
        driving: The driving motion, in parts of any length.
        to_keypoints: Turns driving motion into keypoints.
        models: The loaded networks.
        options: The user's options.
        backgrounds: Pictures in which other faces are animated already; None for the source's own.

    Yields:
        The video's pictures, RGB, uint8, each a new array.
    """
    size = options.render.batch_size
    batches = in_batches(driving, rendered_at_once(models.portrait, size), first=size)
    parts = zip(batches, source.source_frames(), strict=False)
    return made_with_own(render_ahead(models.portrait, parts, to_keypoints, backgrounds))


def animate_video(
    source: VideoSource | DubbedVideo,
    driving: Iterable[Part],
    to_keypoints: Callable[[Iterable[tuple[Portrait, Part]]], Iterator[Tensor]],
    models: Models,
    backgrounds: Iterator[Picture | None] = itertools.repeat(None),  # noqa: B008 — has no state
) -> Iterator[Picture]:
    """Animate one face of a video in constant memory; frames without the face stay unchanged.

    Args:
        source: The video and its face.
        driving: What drives each frame.
        to_keypoints: Turns consecutive portraits and what drives them into keypoints x_d, each of shape (1, K, 3).
        models: The loaded networks.
        backgrounds: As in `animate`.

    Yields:
        As `animate`.
    """

    def parts() -> Iterator[tuple[Tensor, SourceFrame]]:
        pairs = zip(driving, source.source_frames(), strict=False)
        for shows_face, run in itertools.groupby(pairs, lambda pair: pair[1].portrait is not None):
            ahead, kept = tee(run)
            faces = ((frame.portrait, motion) for motion, frame in ahead if frame.portrait is not None)
            keypoints = to_keypoints(faces) if shows_face else (_NO_KEYPOINTS for _ in ahead)
            yield from zip(keypoints, (frame for _, frame in kept), strict=True)

    def given(_: Portrait, x_d: Tensor) -> Tensor:
        return x_d

    return made_with_own(render_ahead(models.portrait, parts(), given, backgrounds))


def speak(source: ImageSource, sound: Sound, models: Models, options: Options) -> Video:
    """Animate a portrait from speech.

    Args:
        source: The picture and its face.
        sound: The speech.
        models: The loaded networks.
        options: The user's options.

    Raises:
        PortraitError: The reference clip cannot be used, or an option is not for this voice model.
    """
    fps = options.render.fps or Fraction(FRAME_RATE)
    count = count_frames(sound, fps)
    sampling_rules(models.voice, options.motion)
    reference = extract_reference(options.motion.reference, models) if options.motion.reference else None

    def pictures() -> Iterator[Picture]:
        driving, to_keypoints = generate_motion(models, stream_mono_16k(sound), options.motion, reference)
        return animate(source, retime(driving, fps, count), to_keypoints, models, options)

    return Video(source, fps, count, sound, pictures)


def idle(source: ImageSource, models: Models, options: Options) -> Video:
    """Animate a portrait that says nothing.

    Raises:
        OptionError: An option is not for this voice model.
    """
    fps = options.render.fps or Fraction(FRAME_RATE)
    count = math.ceil(Fraction(options.idle.seconds) * fps)
    sampling_rules(models.voice, options.motion)

    def pictures() -> Iterator[Picture]:
        driving, to_keypoints = idle_motion(models, options.motion, options.idle)
        return animate(source, retime(driving, fps, count), to_keypoints, models, options)

    return Video(source, fps, count, None, pictures)


def reenact(faces: Sequence[DrivenFace], sound: Sound | None, models: Models, options: Options) -> Video:
    """Animate faces of one source with drivers.

    Args:
        faces: Each face with its driver. All drivers have one frame rate; it is the source's if that is a video.
        sound: The sound of the result, or None.
        models: The loaded networks.
        options: The user's options.

    Raises:
        OptionError: The anchor lies beyond the end of a driver.
    """
    source, fps = faces[0].source, faces[0].driver.fps
    count = count_driven(faces, sound, loop=options.drive.loop)
    compositors = [drive_face(face, count, models, options) for face in faces]

    def pictures() -> Iterator[Picture]:
        animated: Iterator[Picture | None] = itertools.repeat(None)
        for compositor in compositors:
            animated = compositor(animated)
        return animated  # type: ignore[return-value] — every compositor yields pictures

    def notes() -> tuple[str, ...]:
        videos = [face.source.notes() for face in faces if isinstance(face.source, VideoSource)]
        return tuple(dict.fromkeys(itertools.chain(*(face.driver.notes for face in faces), *videos)))

    # The length of a source video is only known at its end; the writer cuts the sound there.
    trimmed_sound = sound.part(Fraction(0), count / fps) if sound and source.still else sound
    return Video(source, fps, count, trimmed_sound, pictures, notes)


def drive_face(face: DrivenFace, count: int, models: Models, options: Options) -> Compositor:
    """Return a function that animates one face and pastes it into pictures with other animated faces."""
    if isinstance(face.source, VideoSource):
        return _drive_video(face.source, face.driver, models, options)
    return _drive_picture(face.source, face.driver, count, models, options)


@own_settings()
def _drive_picture(source: ImageSource, driver: Driver, count: int, models: Models, options: Options) -> Compositor:
    rules, anchor = driving_rules(options.drive), driver.anchor(options.drive.anchor)

    def to_keypoints(portrait: Portrait, motion: Motion) -> Tensor:
        return models.portrait.driving_keypoints(portrait, motion, anchor and anchor.to(models.device), rules)

    @own_settings()
    def compositor(backgrounds: Iterator[Picture | None]) -> Iterator[Picture]:
        smooth = MotionSmoother(options.drive.driver_smooth(source_is_smoothed=False), float(driver.fps))
        driving = replace(driver.motion, dense_residual=driver.dense_residual_since(anchor, rules.by_part().face))
        motion = extend(driving, count, loop=options.drive.loop)
        return animate(source, map(smooth, motion), to_keypoints, models, options, backgrounds)

    return compositor


@own_settings()
def _drive_video(source: VideoSource, driver: Driver, models: Models, options: Options) -> Compositor:
    rules, anchor = driving_rules(options.drive), driver.anchor(options.drive.anchor)
    is_smoothed = models.portrait.smooths_videos and anchor is not None

    def to_keypoints(frames: Iterable[tuple[Portrait, Motion]]) -> Iterator[Tensor]:
        moved = ((portrait, motion.to(models.device)) for portrait, motion in frames)
        return models.portrait.video_keypoints(moved, anchor and anchor.to(models.device), rules)

    @own_settings()
    def compositor(backgrounds: Iterator[Picture | None]) -> Iterator[Picture]:
        smooth = MotionSmoother(options.drive.driver_smooth(source_is_smoothed=is_smoothed), float(driver.fps))
        motion = extend(replace(driver.motion, dense_residual=None), None, loop=options.drive.loop)
        return animate_video(source, map(smooth, motion), to_keypoints, models, backgrounds)

    return compositor


def edit(source: ImageSource, track: SliderTrack, models: Models, options: Options) -> Video:
    """Edit a face with sliders, frame by frame."""

    def pictures() -> Iterator[Picture]:
        return animate(source, [track], to_keypoints, models, options)

    def to_keypoints(portrait: Portrait, part: SliderTrack) -> Tensor:
        if options.edit.silence:
            return models.portrait.silence(portrait)
        stitching = options.edit.stitching
        return torch.cat([models.portrait.edit(portrait, sliders, stitching=stitching) for sliders in part.sliders()])

    return Video(source, options.render.fps or Fraction(FRAME_RATE), len(track), None, pictures)


def edit_video(source: VideoSource, track: SliderTrack, sound: Sound | None, models: Models, options: Options) -> Video:
    """Edit a face of a video with the same sliders in every frame."""
    model, (sliders,) = models.portrait, track.sliders()

    def to_keypoints(frames: Iterable[tuple[Portrait, None]]) -> Iterator[Tensor]:
        portraits = (portrait for portrait, _ in frames)
        if options.edit.silence:
            return map(model.silence, portraits)
        return model.edit_video(portraits, sliders, stitching=options.edit.stitching)

    def pictures() -> Iterator[Picture]:
        return animate_video(source, itertools.repeat(None), to_keypoints, models)

    return Video(source, source.file.fps, source.file.num_frames, sound, pictures, source.notes)


def count_driven(faces: Sequence[DrivenFace], sound: Sound | None, *, loop: bool) -> int:
    """Return the number of frames of a reenactment.

    It is that of the source if that is a video, else that of the longest driver, or of the sound if it is longer and
    the drivers loop or are pictures.
    """
    source = faces[0].source
    if isinstance(source, VideoSource):
        return source.file.num_frames
    count = max(len(face.driver.motion) for face in faces)
    endless = loop or not any(face.driver.is_video for face in faces)
    return max(count, count_frames(sound, faces[0].driver.fps)) if endless and sound is not None else count


def count_frames(sound: Sound, fps: Fraction) -> int:
    """Return the number of frames that cover the sound."""
    return math.ceil(sound.seconds * fps)


@dataclass(frozen=True, repr=False)
class Video:
    """A video whose pictures are rendered during iteration; it can be iterated more than once.

    Attributes:
        source: The picture or video, and its face.
        fps: Frames per second.
        num_frames: The number of frames; for a source video, as its header states it.
        sound: The sound, or None.
        pictures: Renders the pictures from the first one on.
        report: Returns remarks about the inputs, complete once the pictures are rendered.
        shown_size: (height, width) of the pictures if it differs from the source's.
        changes: What it changes of the file that it is made from, if most of that stays as it is.
    """

    source: ImageSource | VideoSource | DubbedVideo
    fps: Fraction
    num_frames: int
    sound: Sound | None
    pictures: Callable[[], Iterator[Picture]]
    report: Callable[[], tuple[str, ...]] = tuple
    shown_size: tuple[int, int] | None = None
    changes: Changes | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the pictures."""
        return self.shown_size or self.source.size

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks about the inputs; those about a source video are complete once its frames are rendered."""
        return self.report()

    def __iter__(self) -> Iterator[Picture]:
        return self.pictures()

    def __len__(self) -> int:
        return self.num_frames

    def __repr__(self) -> str:
        height, width = self.size
        sound = "with sound" if self.sound else "silent"
        return f"<Video {width}x{height}, {self.num_frames} frames at {float(self.fps):.5g} fps, {sound}>"
