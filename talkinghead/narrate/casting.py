"""From a script and options to a production: who stands where, with what behind and beside them."""

from __future__ import annotations

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from audio2motion import FRAME_RATE
from audio2motion.flow.model import MotionFlow
from audio2motion.joyvasa import JoyVASA
from talkinghead.driver import open_driver
from talkinghead.errors import OptionError
from talkinghead.media.files import require_file
from talkinghead.media.formats import Format
from talkinghead.media.image import limit_size, read_image
from talkinghead.media.picture_formats import PICTURE_ENDINGS
from talkinghead.models import Models
from talkinghead.narrate.background import Background, open_background
from talkinghead.narrate.burn import CaptionPainter
from talkinghead.narrate.errors import ScriptError
from talkinghead.narrate.layouts import plan
from talkinghead.narrate.options import NarrationOptions, StageOptions
from talkinghead.narrate.production import Production
from talkinghead.narrate.script import Role, Script
from talkinghead.narrate.stage import Actor, open_actor
from talkinghead.options import MAX_SIDE, CropOptions
from talkinghead.reference import watch_reference


def find_slides(script: Script, options: StageOptions) -> list[Path]:
    """Return the slide of every chapter; none where there are no slides at all.

    Raises:
        ScriptError: A chapter has no slide.
        OptionError: There is no folder of slides.
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
            raise ScriptError(f"{options.slides}: holds no picture; put one slide a chapter there, PNG, JPEG or WebP")
        return []
    if None in slides:
        number = slides.index(None)
        title = script.chapters[number].title or script.lines[0].text[:40]
        raise ScriptError(f"{script.file}: chapter {number + 1} ({title!r}) has no slide; add one, or leave all out")
    return [slide for slide in slides if slide]


def choose_layout(script: Script, options: StageOptions, *, slides: bool) -> str:
    """Return the layout that is asked for.

    Raises:
        OptionError: It does not go together with what else is asked for.
    """
    name = options.layout or script.layout or ("circle" if slides else "full")
    if slides and options.alpha:
        raise OptionError("alpha leaves out what is behind the person, slides are there: leave one of them out")
    behind = options.background or any(role.background for role in script.roles.values())
    if name == "circle" and not (slides or behind or options.alpha):
        raise OptionError("layout 'circle' needs something around it: give slides, background or alpha")
    return name


def check_files(avatar: Path, script: Script, options: NarrationOptions) -> None:
    """Read every picture, background and clip once, so that a bad one is refused before anything is loaded or made.

    Raises:
        PortraitError: A file cannot be read, or what is asked for does not go together.
    """
    slides = find_slides(script, options.stage)
    choose_layout(script, options.stage, slides=bool(slides))
    for picture in dict.fromkeys([avatar, *(role.avatar for role in script.roles.values()), *slides]):
        if picture:
            read_image(picture)
    for role in script.roles.values():
        _wall(role, options)
    for clip in _clips(script, options):
        open_driver(clip)
    for line in script.lines:
        try:
            replace(options.motion, **line.direction.strengths)
        except OptionError as error:
            raise ScriptError(f"{script.file}: {error} ({line.text[:40]!r})") from None


def cast(avatar: Path, script: Script, models: Models, options: NarrationOptions, kind: Format) -> Production:
    """Open every portrait and lay out the picture.

    Raises:
        PortraitError: A file cannot be read, or what is asked for does not go together.
    """
    if isinstance(models.voice, JoyVASA | MotionFlow):
        raise OptionError("a narration needs a voice model that performs for any face: leave voice_model out")
    slides = find_slides(script, options.stage)
    name = choose_layout(script, options.stage, slides=bool(slides))
    portraits = {role.name: role.avatar or avatar for role in script.roles.values()}
    roles = list(script.roles.values())
    own_size = _own_size(portraits[roles[0].name], models, options.crop)
    layout = plan(name, own_size, options.crop.size, len(roles), slides=bool(slides))
    walls = {role.name: _wall(role, options) for role in roles}
    around = name == "circle" and not slides
    ground = next((wall for wall in walls.values() if wall), None) if around else None
    actors: dict[str, Actor] = {}
    for role, box in zip(roles, layout.speakers, strict=True):
        crop = replace(options.crop, face=options.crop.face if role.face is None else role.face)
        wall = None if around else walls[role.name]
        actors[role.name] = open_actor(portraits[role.name], box, models, crop, wall, alpha=options.stage.alpha)
    references = {clip: watch_reference(clip, models) for clip in _clips(script, options)}
    painter = CaptionPainter(layout.size, options.captions) if options.captions.burn else None
    fps = options.render.fps or Fraction(FRAME_RATE)
    return Production(
        script, layout, actors, portraits, slides, ground, models, options, fps, kind, painter, references
    )


def _clips(script: Script, options: NarrationOptions) -> set[str]:
    """Return the clips that lend their head motion: the narration's own, and those of single lines."""
    return {options.motion.reference, *script.clips()} - {""}


def _wall(role: Role, options: NarrationOptions) -> Background | None:
    given = role.background or options.stage.background
    return open_background(given) if given and not options.stage.alpha else None


def _own_size(portrait: Path, models: Models, options: CropOptions) -> tuple[int, int]:
    """Return the (height, width) of a video of one portrait alone."""
    if options.crop:
        side = options.size or models.portrait.crop_size
        return side, side
    picture = limit_size(read_image(require_file(portrait, ScriptError)), options.size or MAX_SIDE)
    return picture.shape[0], picture.shape[1]
