"""Set up a narration's pictures from its script and options: layout, portraits, slides and backgrounds."""

from __future__ import annotations

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from audio2motion import FRAME_RATE
from talkinghead.driver.driver import open_driver
from talkinghead.driver.reference import extract_reference
from talkinghead.driver.speech import sampling_rules
from talkinghead.errors import OptionError
from talkinghead.media.files import require_file
from talkinghead.media.formats import Format
from talkinghead.media.image import limit_size, read_image
from talkinghead.media.picture_formats import PICTURE_ENDINGS
from talkinghead.media.video import VideoFile, first_picture, read_picture_or_video
from talkinghead.models import Models
from talkinghead.narration.background import Background, open_background
from talkinghead.narration.caption_painter import CaptionPainter
from talkinghead.narration.compositor import PlacedSource, place_source
from talkinghead.narration.errors import ScriptError
from talkinghead.narration.layouts import plan
from talkinghead.narration.options import NarrationOptions, SceneOptions
from talkinghead.narration.script import Script, Speaker
from talkinghead.narration.shot_renderer import ShotRenderer
from talkinghead.options import MAX_SIDE, CropOptions


def find_slides(script: Script, options: SceneOptions) -> list[Path]:
    """Return the slide of every chapter, or nothing if there are no slides.

    Raises:
        ScriptError: A chapter has no slide.
        OptionError: The folder of slides does not exist.
    """
    slides = [chapter.slide for chapter in script.chapters]
    if options.slides:
        folder = Path(options.slides)
        if not os.path.isdir(folder):  # Path.is_dir raises where the name is too long
            raise OptionError(f"{folder}: no such folder of slides")
        found = sorted(file for file in folder.iterdir() if file.suffix.lower() in PICTURE_ENDINGS)
        slides = [*found[: len(slides)], *[None] * (len(slides) - len(found))]
    if not any(slides):
        if options.slides:
            raise ScriptError(f"{options.slides}: has no pictures; put one slide per chapter there, PNG, JPEG or WebP")
        return []
    if None in slides:
        number = slides.index(None)
        title = script.chapters[number].title or script.lines[0].text[:40]
        raise ScriptError(f"{script.file}: chapter {number + 1} ({title!r}) has no slide; add one, or leave all out")
    return [slide for slide in slides if slide]


def choose_layout(script: Script, options: SceneOptions, *, slides: bool) -> str:
    """Return the name of the requested layout.

    Raises:
        OptionError: The layout cannot be combined with other options.
    """
    name = options.layout or script.layout or ("circle" if slides else "full")
    if slides and options.alpha:
        raise OptionError("alpha and slides cannot be combined: leave out one of them")
    behind = options.background or any(speaker.background for speaker in script.speakers.values())
    if name == "circle" and not (slides or behind or options.alpha):
        raise OptionError("layout 'circle' needs something around it: give slides, background or alpha")
    return name


def check_files(source: Path, script: Script, options: NarrationOptions) -> None:
    """Check every picture, background and clip before any model is loaded.

    Raises:
        PortraitError: A file cannot be read, or options cannot be combined.
    """
    slides = find_slides(script, options.scene)
    choose_layout(script, options.scene, slides=bool(slides))
    for slide in dict.fromkeys(slides):
        read_image(slide)
    shown = {speaker.name: speaker.source or source for speaker in script.speakers.values()}
    moving = {file for file in {source, *shown.values()} if isinstance(read_picture_or_video(file), VideoFile)}
    for speaker in script.speakers.values():
        _open_background(speaker, options)
    for clip in _clips(script, options):
        open_driver(clip)
    for line in script.lines:
        if line.delivery.keyframes and shown[line.speaker] in moving:
            raise ScriptError(
                f"{script.file}: keyframes animate a picture, {shown[line.speaker]} is a video: leave them out"
                f" ({line.text[:40]!r})"
            )
        try:
            replace(options.motion, **line.delivery.strengths)
        except OptionError as error:
            raise ScriptError(f"{script.file}: {error} ({line.text[:40]!r})") from None


def assemble(source: Path, script: Script, models: Models, options: NarrationOptions, kind: Format) -> ShotRenderer:
    """Open all portraits and lay out the picture.

    Raises:
        PortraitError: A file cannot be read, or options cannot be combined.
    """
    sampling_rules(models.voice, options.motion)
    slides = find_slides(script, options.scene)
    name = choose_layout(script, options.scene, slides=bool(slides))
    portraits = {speaker.name: speaker.source or source for speaker in script.speakers.values()}
    speakers = list(script.speakers.values())
    own_size = _own_size(portraits[speakers[0].name], models, options.crop)
    layout = plan(name, own_size, options.crop.size, len(speakers), slides=bool(slides))
    backdrops = {speaker.name: _open_background(speaker, options) for speaker in speakers}
    around = name == "circle" and not slides
    canvas = next((backdrop for backdrop in backdrops.values() if backdrop), None) if around else None
    placed: dict[str, PlacedSource] = {}
    for speaker, box in zip(speakers, layout.speakers, strict=True):
        crop = replace(options.crop, face=options.crop.face if speaker.face is None else speaker.face)
        backdrop = None if around else backdrops[speaker.name]
        placed[speaker.name] = place_source(
            portraits[speaker.name], box, models, crop, backdrop, alpha=options.scene.alpha
        )
    references = {clip: extract_reference(clip, models) for clip in _clips(script, options)}
    painter = CaptionPainter(layout.size, options.captions) if options.captions.burn else None
    fps = options.render.fps or Fraction(FRAME_RATE)
    return ShotRenderer(
        script, layout, placed, portraits, slides, canvas, models, options, fps, kind, painter, references
    )


def _clips(script: Script, options: NarrationOptions) -> set[str]:
    """Return all reference clips: the narration's own and those of single lines."""
    return {options.motion.reference, *script.clips()} - {""}


def _open_background(speaker: Speaker, options: NarrationOptions) -> Background | None:
    given = speaker.background or options.scene.background
    return open_background(given) if given and not options.scene.alpha else None


def _own_size(portrait: Path, models: Models, options: CropOptions) -> tuple[int, int]:
    """Return the (height, width) of a video of a single portrait."""
    if options.face_only:
        side = options.size or models.portrait.crop_size
        return side, side
    require_file(portrait, ScriptError)
    picture = limit_size(first_picture(read_picture_or_video(portrait)), options.size or MAX_SIDE)
    return picture.shape[0], picture.shape[1]
