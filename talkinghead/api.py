"""The user's door: paths and arrays in, a file or pictures out."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import overload

from talkinghead import pipeline
from talkinghead.driver.driver import (
    FRAME_RATE,
    Driver,
    DriverInput,
    check_assignment,
    choose_sound,
    extract_driver,
    is_still_driver,
    open_driver,
    write_template,
)
from talkinghead.driver.keyframes import read_keyframes
from talkinghead.driver.sliders import constant_sliders, interpolate_keyframes
from talkinghead.inputs.files import files_read
from talkinghead.media.audio import probe_sound
from talkinghead.media.files import check_output
from talkinghead.media.image import PICTURE_SUFFIXES, Picture, check_picture, read_image, write_image
from talkinghead.media.progress import RENDERING, Progress, no_progress
from talkinghead.media.side_by_side import beside_inputs
from talkinghead.media.video import VideoFile, VideoWriter, read_picture_or_video
from talkinghead.models import Models, load_models
from talkinghead.options import MODEL, VOICE_MODEL, Options, RenderOptions, StrPath
from talkinghead.pipeline import DrivenFace, Video
from talkinghead.source.image import ImageSource, open_image_source, open_image_sources
from talkinghead.source.video import VideoSource, open_video_sources

_ARRAY = "the picture"
"""What to call a picture that is no file."""


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
    source: StrPath | Picture,
    audio: StrPath,
    output: None = None,
    *,
    options: Options | None = ...,
    model: str | Path | Models = ...,
    voice_model: str | Path = ...,
) -> Video: ...
@overload
def speak(
    source: StrPath | Picture,
    audio: StrPath,
    output: StrPath,
    *,
    options: Options | None = ...,
    model: str | Path | Models = ...,
    voice_model: str | Path = ...,
    progress: Progress = ...,
) -> Summary: ...
def speak(
    source: StrPath | Picture,
    audio: StrPath,
    output: StrPath | None = None,
    *,
    options: Options | None = None,
    model: str | Path | Models = MODEL,
    voice_model: str | Path = VOICE_MODEL,
    progress: Progress = no_progress,
) -> Video | Summary:
    """Let a portrait speak.

    Args:
        source: A picture file, or RGB of shape (H, W, 3), uint8.
        audio: A sound file, or a video with sound.
        output: The mp4 to write.
        options: Everything else a user can choose.
        model: "mini", "base", "animals" or a directory; or models loaded before, for the next of many videos.
        voice_model: "mini", "joyvasa" (for the official models) or a directory; models loaded before have their own.
        progress: Passes on the pictures on their way into the file.

    Returns:
        With an output what was written; without one the video, to iterate over: it has a length, and its pictures
        are RGB of shape (H, W, 3), uint8.

    Raises:
        PortraitError: Something is wrong with what was given; see `talkinghead.errors` and `talkinghead.face.errors`.

    Example:
        >>> import talkinghead
        >>> summary = talkinghead.speak("portrait.png", "voice.wav", "out.mp4")
        >>> for frame in talkinghead.speak("portrait.png", "voice.wav"):  # the same pictures as arrays
        ...     height, width, _ = frame.shape
    """
    options = options or Options()
    inputs = files_read(options, source, audio)
    file = None if output is None else check_output(output, inputs, overwrite=options.render.overwrite)
    picture, name = read_picture(source)
    sound = probe_sound(audio)
    models = load_models(model, options.render.device, voice_model, options.render.precision)
    video = pipeline.speak(open_image_source(picture, name, models, options.crop), sound, models, options)
    return video if file is None else save(video, file, options.render, progress)


@overload
def reenact(
    source: StrPath | Picture,
    driver: StrPath | Mapping[int | None, StrPath],
    output: None = None,
    *,
    options: Options | None = ...,
    model: str | Path | Models = ...,
    progress: Progress = ...,
) -> Video: ...
@overload
def reenact(
    source: StrPath | Picture,
    driver: StrPath | Mapping[int | None, StrPath],
    output: StrPath,
    *,
    options: Options | None = ...,
    model: str | Path | Models = ...,
    progress: Progress = ...,
) -> Summary: ...
def reenact(
    source: StrPath | Picture,
    driver: StrPath | Mapping[int | None, StrPath],
    output: StrPath | None = None,
    *,
    options: Options | None = None,
    model: str | Path | Models = MODEL,
    progress: Progress = no_progress,
) -> Video | Summary:
    """Let a portrait follow a face.

    Args:
        source: A picture file, or RGB of shape (H, W, 3), uint8; or a video, which keeps its rate and its sound.
        driver: A video or a picture of one face, or a motion template; or one for each of several faces of the
            source, by their numbers, counted from 0 at the left (None for the largest).
        output: The mp4 to write; a picture drives a picture too: then PNG, JPEG or WebP.
        options: Everything else a user can choose.
        model: "mini", "base", "animals" or a directory; or models loaded before, for the next of many videos.
        progress: Passes on the driver's frames while they are read, and the pictures on their way into the file.

    Returns:
        With an output what was written; without one the video, to iterate over: it has a length, and its pictures
        are RGB of shape (H, W, 3), uint8.

    Raises:
        PortraitError: Something is wrong with what was given; see `talkinghead.errors` and `talkinghead.face.errors`.

    Example:
        >>> import talkinghead
        >>> summary = talkinghead.reenact("portrait.png", "driving.mp4", "out.mp4")
    """
    options = options or Options()
    assigned = dict(driver) if isinstance(driver, Mapping) else {options.crop.face: driver}
    given = {path: open_driver(path) for path in dict.fromkeys(assigned.values())}
    inputs = files_read(options, source, *given)
    kept = options.drive.save_template and _check_template(options.drive.save_template, inputs, model, options.render)
    check_assignment(list(given.values()), len(assigned), options)
    file = None if output is None else _check_reenactment(output, inputs, list(given.values()), options)
    shown = _read_moving(source)
    sound = choose_sound(list(given.values()), shown, options.drive)
    models = load_models(model, options.render.device, precision=options.render.precision)
    sources, rate = _open_moving(source, shown, models, options, list(assigned))
    if isinstance(shown, VideoFile) and not kept:  # whose own skin moves
        options = replace(options, drive=replace(options.drive, dense_residual=False))
    extracted = {}
    for path, each in given.items():
        options = replace(options, render=replace(options.render, fps=rate or options.render.fps))
        extracted[path] = extract_driver(each, str(path), models, options, progress)
        rate = extracted[path].fps  # further drivers come at the first one's rate
    if kept:
        write_template(next(iter(extracted.values())), kept, overwrite=options.render.overwrite)
    faces = [DrivenFace(opened, extracted[path]) for opened, path in zip(sources, assigned.values(), strict=True)]
    video = pipeline.reenact(faces, sound, models, options)
    video = beside_inputs(video, faces) if options.drive.concat else video
    return video if file is None else save(video, file, options.render, progress)


def template(
    driver: StrPath,
    output: StrPath,
    *,
    options: Options | None = None,
    model: str | Path | Models = MODEL,
    progress: Progress = no_progress,
) -> Driver:
    """Write the motion of a driver into a file that drives as well.

    Args:
        driver: A video or a picture of one face, or a template to be cut or brought to another frame rate.
        output: The .safetensors to write.
        options: Which part of the driver, at which rate.
        model: The model that shall follow it.
        progress: As in `reenact`.

    Returns:
        What was written.

    Raises:
        PortraitError: Something is wrong with what was given.

    Example:
        >>> import talkinghead
        >>> driver = talkinghead.template("driving.mp4", "motion.safetensors")
        >>> video = talkinghead.reenact("portrait.png", "motion.safetensors")
    """
    options = options or Options()
    file = _check_template(output, files_read(options, driver), model, options.render)
    given = open_driver(driver)
    models = load_models(model, options.render.device, precision=options.render.precision)
    extracted = extract_driver(given, str(driver), models, options, progress)
    write_template(extracted, file, overwrite=options.render.overwrite)
    return extracted


def edit(
    source: StrPath | Picture,
    output: StrPath,
    *,
    options: Options | None = None,
    model: str | Path | Models = MODEL,
    progress: Progress = no_progress,
) -> Summary:
    """Change a face by hand.

    Args:
        source: A picture file, or RGB of shape (H, W, 3), uint8.
        output: The PNG, JPEG or WebP to write; with keyframes the mp4.
        options: The edit, and everything else a user can choose.
        model: As in `reenact`.
        progress: As in `reenact`.

    Returns:
        What was written.

    Raises:
        PortraitError: Something is wrong with what was given.

    Example:
        >>> import talkinghead
        >>> from talkinghead import EditOptions, Options
        >>> summary = talkinghead.edit("portrait.png", "smile.png", options=Options(edit=EditOptions(smile=0.5)))
    """
    options = options or Options()
    asked = options.edit
    inputs = files_read(options, source)
    what, suffixes = ("videos", (".mp4",)) if asked.keyframes else ("pictures", tuple(PICTURE_SUFFIXES))
    file = check_output(output, inputs, overwrite=options.render.overwrite, what=what, suffixes=suffixes)
    keyframes = read_keyframes(asked.keyframes) if asked.keyframes else None
    picture, name = read_picture(source)
    models = load_models(model, options.render.device, precision=options.render.precision)
    opened = open_image_source(picture, name, models, options.crop)
    fps = options.render.fps or FRAME_RATE
    moves = (
        interpolate_keyframes(keyframes, asked, opened.portrait.motion, fps) if keyframes else constant_sliders(asked)
    )
    return save(pipeline.edit(opened, moves, models, options), file, options.render, progress)


def save(video: Video, file: Path, render: RenderOptions, progress: Progress) -> Summary:
    """Make a video and write it with its sound; a name that is a picture's takes its first frame."""
    height, width = video.size
    begun = time.perf_counter()
    if file.suffix.lower() in PICTURE_SUFFIXES:
        write_image(next(iter(video)), file, overwrite=render.overwrite)
        return Summary(file, 1, 0.0, video.fps, width, height, time.perf_counter() - begun, video.notes)
    shape, sound = (height, width), video.sound
    with VideoWriter(file, video.fps, shape, sound, render.crf, overwrite=render.overwrite) as writer:
        count = 0
        for count, picture in enumerate(progress(video, len(video), RENDERING), 1):  # noqa: B007
            writer.write(picture)
    took = time.perf_counter() - begun
    return Summary(file, count, float(count / video.fps), video.fps, width, height, took, video.notes)


def read_picture(source: StrPath | Picture) -> tuple[Picture, str]:
    """Return a picture and what to call it in messages.

    Raises:
        PortraitError: It cannot be read.
    """
    if isinstance(source, str | os.PathLike):
        return read_image(source), str(source)
    return check_picture(source), _ARRAY


def _read_moving(source: StrPath | Picture) -> Picture | VideoFile:
    """Return a picture, or a video that is still to be read."""
    if not isinstance(source, str | os.PathLike):
        return check_picture(source)
    return read_picture_or_video(source)


def _open_moving(
    source: StrPath | Picture, shown: Picture | VideoFile, models: Models, options: Options, numbers: list[int | None]
) -> tuple[Sequence[ImageSource | VideoSource], Fraction | None]:
    """Open the faces of a picture or a video; a video keeps its own rate, which is returned beside them."""
    if isinstance(shown, VideoFile):
        return open_video_sources(shown, models, options.crop, numbers), shown.fps
    name = str(source) if isinstance(source, str | os.PathLike) else _ARRAY
    return open_image_sources(shown, name, models, options.crop, numbers), None


def _check_reenactment(output: StrPath, inputs: list[Path], given: list[DriverInput], options: Options) -> Path:
    """Check the output of drivers: single pictures may make a picture."""
    suffixes = (".mp4", *PICTURE_SUFFIXES) if all(map(is_still_driver, given)) else (".mp4",)
    return check_output(output, inputs, overwrite=options.render.overwrite, suffixes=suffixes)


def _check_template(output: StrPath, inputs: list[Path], model: str | Path | Models, options: RenderOptions) -> Path:
    """Check the output of a motion, which must not replace a model's weights either."""
    suffixes = (".safetensors",)
    weights = [] if isinstance(model, Models) or not os.path.isdir(model) else Path(model).rglob(f"*{suffixes[0]}")
    return check_output(output, [*inputs, *weights], overwrite=options.overwrite, what="templates", suffixes=suffixes)
