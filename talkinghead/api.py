"""The Python API: takes paths and arrays, returns pictures or writes a file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import overload

from talkinghead import pipeline
from talkinghead.driver.driver import (
    FRAME_RATE,
    Driver,
    check_assignment,
    choose_sound,
    extract_driver,
    is_still_driver,
    open_driver,
    write_template,
)
from talkinghead.driver.sliders import constant_sliders, interpolate_keyframes
from talkinghead.dubbing import check_one_voice, dub
from talkinghead.errors import OptionError
from talkinghead.inputs.files import files_read
from talkinghead.media.audio import probe_sound
from talkinghead.media.files import check_output
from talkinghead.media.formats import PLAIN
from talkinghead.media.image import PICTURE_SUFFIXES, Picture
from talkinghead.media.progress import Progress, no_progress
from talkinghead.media.side_by_side import beside_inputs
from talkinghead.media.video import VideoFile
from talkinghead.models import Models, load_models_for
from talkinghead.options import MODEL, VOICE_MODEL, Options, RenderOptions, StrPath
from talkinghead.pipeline import DrivenFace, Video
from talkinghead.provenance.check import check_marks
from talkinghead.provenance.marks import Marks
from talkinghead.saving import Summary, save
from talkinghead.source.given import name_of, read_moving
from talkinghead.source.image import ImageSource, open_image_source, open_image_sources
from talkinghead.source.video import VideoSource, open_video_sources


@overload
def speak(
    source: StrPath | Picture,
    audio: StrPath | Mapping[int | None, StrPath],
    output: None = None,
    *,
    options: Options | None = ...,
    model: str | Path | Models = ...,
    voice_model: str | Path = ...,
) -> Video: ...
@overload
def speak(
    source: StrPath | Picture,
    audio: StrPath | Mapping[int | None, StrPath],
    output: StrPath,
    *,
    options: Options | None = ...,
    model: str | Path | Models = ...,
    voice_model: str | Path = ...,
    progress: Progress = ...,
) -> Summary: ...
def speak(
    source: StrPath | Picture,
    audio: StrPath | Mapping[int | None, StrPath],
    output: StrPath | None = None,
    *,
    options: Options | None = None,
    model: str | Path | Models = MODEL,
    voice_model: str | Path = VOICE_MODEL,
    progress: Progress = no_progress,
) -> Video | Summary:
    """Animate a portrait from speech, or give the faces of a video new voices.

    Args:
        source: A picture file, or RGB of shape (H, W, 3), uint8; or a video, of which only the mouths change.
        audio: A sound file, or a video with sound; for a video also a mapping from the number of a face, counted from 0
            at the left, to its voice.
        output: The mp4, gif or webp to write.
        options: All other options.
        model: "mini", "base", "animals" or a directory; or the result of `load_models`, to load them only once.
        voice_model: "mini", "joyvasa" (for the official models) or a directory; not used with the result of
            `load_models`, which contains one.
        progress: Wraps the frames of a source video while they are read, and the pictures while they are written, to
            report progress.

    Returns:
        A summary of the written file; or, without `output`, the video to iterate over: it has a length, and its
        pictures are RGB of shape (H, W, 3), uint8.

    Raises:
        PortraitError: An argument cannot be used; see `talkinghead.errors` and `talkinghead.face.errors`.

    Example:
        >>> import talkinghead
        >>> summary = talkinghead.speak("portrait.png", "voice.wav", "out.mp4")
        >>> for frame in talkinghead.speak("portrait.png", "voice.wav"):  # the same pictures as arrays
        ...     height, width, _ = frame.shape
    """
    options = options or Options()
    voices = dict(audio) if isinstance(audio, Mapping) else {options.crop.face: audio}
    inputs, overwrite = files_read(options, source, *voices.values()), options.render.overwrite
    file = None if output is None else check_output(output, inputs, overwrite=overwrite, suffixes=tuple(PLAIN))
    check_marks(options.provenance, file)
    shown = read_moving(source)
    sounds = {number: probe_sound(voice) for number, voice in voices.items()}
    if not isinstance(shown, VideoFile):
        check_one_voice(name_of(source), options.dub, len(voices))
    models = load_models_for(options.render, model, voice_model)
    if isinstance(shown, VideoFile):
        video = dub(shown, sounds, models, options, progress)
    else:
        ((number, sound),) = sounds.items()
        crop = replace(options.crop, face=number)
        video = pipeline.speak(open_image_source(shown, name_of(source), models, crop), sound, models, options)
    marks = Marks(options.provenance, source, tuple(inputs))
    return video if file is None else save(video, file, options.render, marks, progress)


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
    """Animate a portrait with the motion of another face.

    Args:
        source: A picture file, or RGB of shape (H, W, 3), uint8; or a video, which keeps its sound and, unless
            `render.fps` is another, its frame rate.
        driver: A video or a picture of one face, or a motion template; or a mapping from the number of a face of the
            source, counted from 0 at the left (None for the largest), to its driver.
        output: The mp4, gif or webp to write; if source and driver are pictures, also a PNG or JPEG, and a WebP is one
            picture.
        options: All other options.
        model: "mini", "base", "animals" or a directory; or the result of `load_models`, to load them only once.
        progress: Wraps the driver's frames while they are read and the pictures while they are written.

    Returns:
        A summary of the written file; or, without `output`, the video to iterate over: it has a length, and its
        pictures are RGB of shape (H, W, 3), uint8.

    Raises:
        PortraitError: An argument cannot be used; see `talkinghead.errors` and `talkinghead.face.errors`.

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
    shown = _at_rate(read_moving(source), options.render)
    still = all(map(is_still_driver, given.values())) and not isinstance(shown, VideoFile)
    file = None if output is None else _check_reenactment(output, inputs, options, still=still)
    check_marks(options.provenance, file)
    sound = choose_sound(list(given.values()), shown, options.drive)
    models = load_models_for(options.render, model)
    sources, rate = _open_moving(source, shown, models, options, list(assigned))
    if isinstance(shown, VideoFile) and not kept:  # the dense residual is only applied to pictures
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
    marks = Marks(options.provenance, source, tuple(inputs))
    return video if file is None else save(video, file, options.render, marks, progress, still=still)


def template(
    driver: StrPath,
    output: StrPath,
    *,
    options: Options | None = None,
    model: str | Path | Models = MODEL,
    progress: Progress = no_progress,
) -> Driver:
    """Save the motion of a driver as a reusable template.

    Args:
        driver: A video or a picture of one face, or a template to trim or to convert to another frame rate.
        output: The .safetensors to write.
        options: Which part of the driver to use, at which frame rate.
        model: The model that the template is for.
        progress: As in `reenact`.

    Returns:
        The motion that was saved.

    Raises:
        PortraitError: An argument cannot be used.

    Example:
        >>> import talkinghead
        >>> driver = talkinghead.template("driving.mp4", "motion.safetensors")
        >>> video = talkinghead.reenact("portrait.png", "motion.safetensors")
    """
    options = options or Options()
    file = _check_template(output, files_read(options, driver), model, options.render)
    given = open_driver(driver)
    models = load_models_for(options.render, model)
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
    """Edit a face with sliders.

    Args:
        source: A picture file, or RGB of shape (H, W, 3), uint8; or a video, in which every frame is edited alike.
        output: The PNG, JPEG or WebP to write, or for a video and with keyframes the mp4, gif or
            webp.
        options: The sliders and all other options.
        model: As in `reenact`.
        progress: As in `reenact`.

    Returns:
        A summary of the written file.

    Raises:
        PortraitError: An argument cannot be used.

    Example:
        >>> import talkinghead
        >>> from talkinghead import EditOptions, Options
        >>> summary = talkinghead.edit("portrait.png", "smile.png", options=Options(edit=EditOptions(smile=0.5)))
    """
    options = options or Options()
    asked = options.edit
    inputs, shown = files_read(options, source), _at_rate(read_moving(source), options.render)
    moving = asked.keyframes or isinstance(shown, VideoFile)
    what, suffixes = ("videos", PLAIN) if moving else ("pictures", PICTURE_SUFFIXES)
    file = check_output(output, inputs, overwrite=options.render.overwrite, what=what, suffixes=tuple(suffixes))
    check_marks(options.provenance, file)
    keyframes = None
    if asked.keyframes:
        from talkinghead.driver.keyframes import read_keyframes  # loads pydantic, which nothing else here needs

        keyframes = read_keyframes(asked.keyframes)
    if keyframes and isinstance(shown, VideoFile):
        raise OptionError(f"{shown.file}: keyframes animate a picture, this is a video: give its sliders as options")
    marks = Marks(options.provenance, source, tuple(inputs))
    models = load_models_for(options.render, model)
    if isinstance(shown, VideoFile):
        (video,) = open_video_sources(shown, models, options.crop, [options.crop.face])
        sound = choose_sound([], shown, options.drive)
        edited = pipeline.edit_video(video, constant_sliders(asked), sound, models, options)
        return save(edited, file, options.render, marks, progress)
    opened = open_image_source(shown, name_of(source), models, options.crop)
    fps = options.render.fps or FRAME_RATE
    track = (
        interpolate_keyframes(keyframes, asked, opened.portrait.motion, fps) if keyframes else constant_sliders(asked)
    )
    return save(pipeline.edit(opened, track, models, options), file, options.render, marks, progress, still=not moving)


def _open_moving(
    source: StrPath | Picture, shown: Picture | VideoFile, models: Models, options: Options, numbers: list[int | None]
) -> tuple[Sequence[ImageSource | VideoSource], Fraction | None]:
    """Return the faces of a picture or a video, and the frame rate of a video."""
    if isinstance(shown, VideoFile):
        return open_video_sources(shown, models, options.crop, numbers), shown.fps
    return open_image_sources(shown, name_of(source), models, options.crop, numbers), None


def _at_rate(shown: Picture | VideoFile, render: RenderOptions) -> Picture | VideoFile:
    """Return a video at the frame rate that the user asked for, and anything else as it is."""
    return shown.at_rate(render.fps) if isinstance(shown, VideoFile) and render.fps else shown


def _check_reenactment(output: StrPath, inputs: list[Path], options: Options, *, still: bool) -> Path:
    """Check the output of a reenactment, which may be a picture if the source and all drivers are pictures."""
    suffixes = [*PLAIN, *(PICTURE_SUFFIXES if still else ())]
    file = check_output(output, inputs, overwrite=options.render.overwrite, suffixes=list(dict.fromkeys(suffixes)))
    if still and file.suffix.lower() in PICTURE_SUFFIXES and options.drive.audio not in {"auto", "none"}:
        raise OptionError(f"{file}: a picture has no sound; leave --audio out, or give a name that ends in .mp4")
    return file


def _check_template(output: StrPath, inputs: list[Path], model: str | Path | Models, options: RenderOptions) -> Path:
    """Check the output of a template, which must not replace a model's weights either."""
    suffixes = (".safetensors",)
    weights = [] if isinstance(model, Models) or not os.path.isdir(model) else Path(model).rglob(f"*{suffixes[0]}")
    return check_output(output, [*inputs, *weights], overwrite=options.overwrite, what="templates", suffixes=suffixes)
