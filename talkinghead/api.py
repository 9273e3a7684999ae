"""The user's door: paths and arrays in, a file or pictures out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import overload

from talkinghead import pipeline
from talkinghead.driver import choose_sound, trimmed, watch_video
from talkinghead.media.audio import probe_sound
from talkinghead.media.files import check_output
from talkinghead.media.image import Picture, check_picture, read_image
from talkinghead.media.video import VideoFrame, VideoWriter, probe_video
from talkinghead.models import Models, load_models
from talkinghead.options import MODEL, Options
from talkinghead.pipeline import Video
from talkinghead.source import open_source

StrPath = str | os.PathLike[str]
Watch = Callable[[Iterable[Picture], int], Iterable[Picture]]
"""Takes pictures and their number and hands them on: a shell's progress bar."""
Study = Callable[[Iterable[VideoFrame], int], Iterable[VideoFrame]]
"""The same for the frames of a driver, whose number is a guess."""


@dataclass(frozen=True)
class Summary:
    """What was written.

    Attributes:
        file: Where.
        frames: How many.
        seconds: How long it plays.
        fps: Frames a second when it plays.
        width: Of the pictures, pixels.
        height: Of the pictures, pixels.
        elapsed_seconds: How long the pictures took to make, without loading.
        notes: What a user should know about the inputs.
    """

    file: Path
    frames: int
    seconds: float
    fps: Fraction
    width: int
    height: int
    elapsed_seconds: float
    notes: tuple[str, ...] = ()

    @property
    def frames_per_second(self) -> float:
        """How fast it was made."""
        return self.frames / self.elapsed_seconds


@overload
def speak(
    image: StrPath | Picture,
    audio: StrPath,
    output: None = None,
    *,
    options: Options = ...,
    model: str | Path | Models = ...,
) -> Video: ...
@overload
def speak(
    image: StrPath | Picture,
    audio: StrPath,
    output: StrPath,
    *,
    options: Options = ...,
    model: str | Path | Models = ...,
    watch: Watch = ...,
) -> Summary: ...
def speak(
    image: StrPath | Picture,
    audio: StrPath,
    output: StrPath | None = None,
    *,
    options: Options = Options(),  # noqa: B008 — frozen
    model: str | Path | Models = MODEL,
    watch: Watch = lambda pictures, _: pictures,
) -> Video | Summary:
    """Let a portrait speak.

    Args:
        image: A picture file, or RGB of shape (H, W, 3), uint8.
        audio: A sound file, or a video with sound.
        output: The mp4 to write.
        options: Everything else a user can choose.
        model: "mini", "base", "animals" or a directory; or models loaded before, for the next of many videos.
        watch: Handed the pictures on their way into the file, and how many they are.

    Returns:
        With an output what was written; without one the video, to iterate over: it has a length, and its pictures
        are RGB of shape (H, W, 3), uint8.

    Raises:
        PortraitError: Something is wrong with what was given; see `talkinghead.errors` and `talkinghead.face.errors`.
    """
    inputs = [Path(given) for given in (image, audio) if isinstance(given, str | os.PathLike)]
    file = None if output is None else check_output(output, inputs, overwrite=options.render.overwrite)
    picture, name = _read(image)
    sound = probe_sound(audio)
    models = model if isinstance(model, Models) else load_models(model, options.render.device)
    video = pipeline.speak(open_source(picture, name, models, options.crop), sound, models, options)
    return video if file is None else save(video, file, options.render.crf, watch)


@overload
def reenact(
    source: StrPath | Picture,
    driver: StrPath,
    output: None = None,
    *,
    options: Options = ...,
    model: str | Path | Models = ...,
    study: Study = ...,
) -> Video: ...
@overload
def reenact(
    source: StrPath | Picture,
    driver: StrPath,
    output: StrPath,
    *,
    options: Options = ...,
    model: str | Path | Models = ...,
    watch: Watch = ...,
    study: Study = ...,
) -> Summary: ...
def reenact(
    source: StrPath | Picture,
    driver: StrPath,
    output: StrPath | None = None,
    *,
    options: Options = Options(),  # noqa: B008 — frozen
    model: str | Path | Models = MODEL,
    watch: Watch = lambda pictures, _: pictures,
    study: Study = lambda frames, _: frames,
) -> Video | Summary:
    """Let a portrait follow the face of a video.

    Args:
        source: A picture file, or RGB of shape (H, W, 3), uint8.
        driver: A video of one face.
        output: The mp4 to write.
        options: Everything else a user can choose.
        model: "mini" or a directory; or models loaded before, for the next of many videos.
        watch: Handed the pictures on their way into the file, and how many they are.
        study: Handed the driver's frames while they are read, and how many they may be.

    Returns:
        With an output what was written; without one the video, to iterate over: it has a length, and its pictures
        are RGB of shape (H, W, 3), uint8.

    Raises:
        PortraitError: Something is wrong with what was given; see `talkinghead.errors` and `talkinghead.face.errors`.
    """
    inputs = [Path(given) for given in (source, driver) if isinstance(given, str | os.PathLike)]
    file = None if output is None else check_output(output, inputs, overwrite=options.render.overwrite)
    picture, name = _read(source)
    recording = probe_video(driver)
    sound = choose_sound(recording, options.drive)
    models = model if isinstance(model, Models) else load_models(model, options.render.device)
    opened = open_source(picture, name, models, options.crop)
    frames = study(trimmed(recording.file, options.drive.trim), recording.num_frames)
    watched = watch_video(recording, frames, models, options.render.fps)
    video = pipeline.reenact(opened, watched, sound, models, options)
    return video if file is None else save(video, file, options.render.crf, watch)


def save(video: Video, file: Path, crf: int, watch: Watch) -> Summary:
    """Make a video and write it with its sound."""
    height, width = video.source.size
    begun = time.perf_counter()
    with VideoWriter(file, video.fps, (height, width), video.sound, crf) as writer:
        for picture in watch(video, len(video)):
            writer.write(picture)
    took = time.perf_counter() - begun
    return Summary(file, len(video), float(len(video) / video.fps), video.fps, width, height, took, video.notes)


def _read(image: StrPath | Picture) -> tuple[Picture, str]:
    """Return a picture and what to call it."""
    if isinstance(image, str | os.PathLike):
        return read_image(image), str(image)
    return check_picture(image), "the picture"
