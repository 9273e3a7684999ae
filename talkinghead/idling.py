"""The Python API for portraits that only idle."""

from __future__ import annotations

from pathlib import Path
from typing import overload

from talkinghead import pipeline
from talkinghead.errors import OptionError
from talkinghead.inputs.files import files_read
from talkinghead.media.files import check_output
from talkinghead.media.formats import PLAIN
from talkinghead.media.image import Picture
from talkinghead.media.progress import Progress, no_progress
from talkinghead.media.video import VideoFile
from talkinghead.models import Models, load_models_for
from talkinghead.options import MODEL, VOICE_MODEL, MotionOptions, Options, StrPath
from talkinghead.pipeline import Video
from talkinghead.provenance.check import check_marks
from talkinghead.provenance.marks import Marks
from talkinghead.saving import Summary, save
from talkinghead.source.given import name_of, read_moving
from talkinghead.source.image import open_image_source


@overload
def idle(
    source: StrPath | Picture,
    output: None = None,
    *,
    options: Options | None = ...,
    model: str | Path | Models = ...,
    voice_model: str | Path = ...,
) -> Video: ...
@overload
def idle(
    source: StrPath | Picture,
    output: StrPath,
    *,
    options: Options | None = ...,
    model: str | Path | Models = ...,
    voice_model: str | Path = ...,
    progress: Progress = ...,
) -> Summary: ...
def idle(
    source: StrPath | Picture,
    output: StrPath | None = None,
    *,
    options: Options | None = None,
    model: str | Path | Models = MODEL,
    voice_model: str | Path = VOICE_MODEL,
    progress: Progress = no_progress,
) -> Video | Summary:
    """Animate a portrait that says nothing: it breathes, blinks and looks about with its lips shut.

    Args:
        source: A picture file, or RGB of shape (H, W, 3), uint8.
        output: The mp4, gif or webp to write.
        options: How long, whether as a loop, and all other options.
        model: As in `speak`.
        voice_model: As in `speak`.
        progress: As in `speak`.

    Returns:
        As `speak`; the video has no sound.

    Raises:
        PortraitError: An argument cannot be used.

    Example:
        >>> import talkinghead
        >>> from talkinghead import IdleOptions, Options
        >>> options = Options(idle=IdleOptions(seconds=10, loop=True))
        >>> summary = talkinghead.idle("portrait.png", "idle.mp4", options=options)
    """
    options = options or Options()
    _check_motion(options.motion)
    inputs, overwrite = files_read(options, source), options.render.overwrite
    file = None if output is None else check_output(output, inputs, overwrite=overwrite, suffixes=tuple(PLAIN))
    check_marks(options.provenance, file)
    shown, name = read_moving(source), name_of(source)
    if isinstance(shown, VideoFile):
        raise OptionError(f"{name}: is a video, a picture idles: give a picture")
    models = load_models_for(options.render, model, voice_model)
    video = pipeline.idle(open_image_source(shown, name, models, options.crop), models, options)
    marks = Marks(options.provenance, source, tuple(inputs))
    return video if file is None else save(video, file, options.render, marks, progress)


def _check_motion(asked: MotionOptions) -> None:
    """Check that nothing is asked that only speech can do."""
    usual = MotionOptions()
    for name in ("reference", "lips_only", "lip_strength"):
        if getattr(asked, name) != getattr(usual, name):
            raise OptionError(f"{name} is for speech, an idle portrait says nothing: leave it out")
