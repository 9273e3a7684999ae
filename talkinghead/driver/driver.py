"""Open drivers and extract their motion."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import repeat
from pathlib import Path

import numpy as np
from torch import Tensor

from liveportrait import Motion, PortraitError, TemplateError
from liveportrait.driving_rules import DrivingRules, neutral_frame
from liveportrait.model import PortraitModel
from liveportrait.templates import Template, load_template, save_template
from talkinghead.driver.extract import FaceMotionExtractor, average_place, extract_video, whole_place
from talkinghead.driver.resample import interpolate
from talkinghead.errors import AudioError, OptionError
from talkinghead.face import CropRule, choose_face
from talkinghead.face.crop import DRIVING_CROP, FaceRect
from talkinghead.host.isolation import own_settings
from talkinghead.inputs.option_values import Trim, parse_region
from talkinghead.media.audio import Sound, probe_sound
from talkinghead.media.files import output_error, require_file
from talkinghead.media.image import Picture
from talkinghead.media.progress import READING, Progress
from talkinghead.media.timing import positions, steady, trimmed
from talkinghead.media.video import VideoFile, probe_placed_sound, read_picture_or_video
from talkinghead.models import Models
from talkinghead.options import DriveOptions, Options
from talkinghead.wording import counted

FRAME_RATE = Fraction(25)
"""Frames per second of a video driven by a picture, unless the user sets another rate."""


@dataclass(frozen=True)
class Driver:
    """The motion of a driver.

    Attributes:
        name: Its name in messages.
        motion: T frames, interpolated where no face was found.
        fps: Frames per second.
        is_video: Whether it has several frames.
        notes: Remarks for the user.
        pictures: Returns its pictures from the first one on, at its frame rate; None for a template.
    """

    name: str
    motion: Motion
    fps: Fraction
    is_video: bool
    notes: tuple[str, ...] = ()
    pictures: Callable[[], Iterator[Picture]] | None = None

    def anchor(self, number: int | None) -> Motion | None:
        """Return the frame that motion is relative to, or None for a single picture.

        Args:
            number: The frame, counted from 0; None for the most neutral one.

        Raises:
            OptionError: The driver has fewer frames.
        """
        if not self.is_video:
            return None
        if number is not None and number >= len(self.motion):
            raise OptionError(
                f"anchor is frame {number}, but {self.name} has {counted(len(self.motion), 'frame')}, counted from 0"
            )
        return self.motion[neutral_frame(self.motion) if number is None else number]

    def dense_residual_since(self, anchor: Motion | None, strength: float) -> Tensor | None:
        """Return the dense residual relative to the anchor's, (T, 3, G, G), or None if there is none to apply."""
        dense_residual = self.motion.dense_residual
        if dense_residual is None or anchor is None or anchor.dense_residual is None or not strength:
            return None
        return strength * (dense_residual - anchor.dense_residual)


DriverInput = VideoFile | Template | Picture
"""An opened driver whose motion has not been extracted yet."""


def open_driver(path: str | os.PathLike[str]) -> DriverInput:
    """Open a driver, whatever kind of file it is.

    Args:
        path: A video, a picture, or a motion template.

    Raises:
        PortraitError: The file does not exist or cannot be read.
    """
    file = Path(path)
    if file.suffix.lower() in {".safetensors", ".pkl"}:
        return load_template(require_file(file, TemplateError))
    return read_picture_or_video(file)


@own_settings()
def extract_driver(given: DriverInput, name: str, models: Models, options: Options, progress: Progress) -> Driver:
    """Extract the motion of a driver.

    Args:
        given: The result of `open_driver`.
        name: Its name in messages.
        models: The loaded networks.
        options: The part to use, and the frame rate.
        progress: Wraps the frames of a video while they are read.

    Raises:
        TemplateError: A template was made for another model.
        NoFaceError: No face was found.
        VideoError: Trimming leaves no frames.
    """
    fps, trim = options.render.fps, options.drive.trim
    if isinstance(given, Template):
        try:
            adopted = replace(given, motion=models.portrait.adopt(given.motion))
        except PortraitError as error:
            raise TemplateError(f"{name}: {error}") from None
        return _trim_template(adopted, name, trim, fps)
    if isinstance(given, VideoFile):
        frames = progress(trimmed(given.file, trim), given.num_frames, READING)
        rule = drive_crop(options.drive, models.portrait)
        place = _video_place(given, models, options.drive, rule)
        extracted = extract_video(given, frames, models, rule, place, fps, dense_residual=options.drive.dense_residual)
        rate = fps or given.fps

        def pictures() -> Iterator[Picture]:
            return (frame.picture for frame in steady(trimmed(given.file, trim), rate))

        return Driver(name, extracted.motion, rate, extracted.num_frames > 1, extracted.notes, pictures)
    landmarks = choose_face(models.faces.detect(given), None, name).landmarks
    height, width = given.shape[:2]
    place = whole_place(height, width) if options.drive.driver_crop == "none" else None
    motion = FaceMotionExtractor(models, drive_crop(options.drive, models.portrait), place).read_one(given, landmarks)
    return Driver(name, motion, fps or FRAME_RATE, False, (), lambda: repeat(given))


def _video_place(given: VideoFile, models: Models, options: DriveOptions, rule: CropRule) -> FaceRect | None:
    """Return the square of a driving video to crop; None for the one around the first face."""
    if options.driver_crop == "average":
        return average_place(trimmed(given.file, options.trim), models, rule)
    return whole_place(*given.size) if options.driver_crop == "none" else None


def _trim_template(template: Template, name: str, trim: Trim, fps: Fraction | None) -> Driver:
    """Return the chosen part of a template at the requested frame rate."""
    times = [n / template.fps for n in range(len(template.motion))]
    kept = [n for n, time in enumerate(times) if time >= trim.start and (trim.end is None or time < trim.end)]
    if not kept:
        raise TemplateError(f"{name}: lasts {float(len(times) / template.fps):.2f} s, --trim leaves nothing of it")
    rate = fps or template.fps
    places = positions([times[n] for n in kept], list(range(len(kept))), rate)
    motion = interpolate(template.motion[kept[0] : kept[-1] + 1], places)
    return Driver(name, motion, rate, is_video=len(template.motion) > 1)


def write_template(driver: Driver, file: Path, *, overwrite: bool = False) -> None:
    """Write a driver's motion to a file; on failure leave no file.

    Raises:
        OutputError: It cannot be written there.
    """
    try:
        save_template(Template(driver.motion, driver.fps), file, replace=overwrite)
    except OSError as error:
        raise output_error(file, error) from error


def extend(motion: Motion, count: int | None, *, loop: bool) -> Iterator[Motion]:
    """Yield a motion frame by frame, extended to a number of frames.

    Args:
        motion: T frames.
        count: The number of frames; None for endless.
        loop: Loop back and forth, 0 1 2 1 0 1 ...; otherwise repeat the last frame, 0 1 2 2 2 ...
    """
    end = len(motion) - 1
    for n in itertools.count() if count is None else range(count):
        at = n % max(2 * end, 1)
        yield motion[min(at, 2 * end - at) if loop else min(n, end)]


def is_still_driver(given: DriverInput) -> bool:
    """Return whether a driver is a single picture, or a template of one."""
    return isinstance(given, np.ndarray) or (isinstance(given, Template) and len(given.motion) == 1)


def check_assignment(given: Sequence[DriverInput], num_faces: int, options: Options) -> None:
    """Check that the options can be combined with several faces or drivers.

    Raises:
        OptionError: One crop was requested for several faces, or one template for several drivers.
    """
    if num_faces > 1 and options.crop.face_only:
        raise OptionError(f"--face-only shows one face, {num_faces} are to move: leave it out, or drive one face")
    if num_faces > 1 and (options.crop.box or options.crop.whole_picture_as_face):
        raise OptionError(
            f"--box and --whole-picture-as-face are for one face, {num_faces} are to move: leave them out"
        )
    if len(given) > 1 and options.drive.save_template:
        raise OptionError(f"--save-template saves one driver, there are {len(given)}: make each with `template`")


def choose_sound(given: Sequence[DriverInput], source: Picture | VideoFile, options: DriveOptions) -> Sound | None:
    """Return the sound for a video: that of a file, of the source, or of the first driver that has one.

    Sound and pictures stay in sync as in the file that they come from, and a driver's sound is trimmed like its
    pictures.

    Raises:
        PortraitError: The file, the source or the driver that is asked for has no sound.
    """
    if options.audio == "none":
        return None
    if options.audio not in {"auto", "driver", "source"}:
        return probe_placed_sound(options.audio)
    of_source = options.audio == "source" or (options.audio == "auto" and isinstance(source, VideoFile))
    candidates = [source] if of_source else given
    video = next((each for each in candidates if isinstance(each, VideoFile) and each.has_sound), None)
    if video is None and options.audio == "auto":
        return None
    if video is None:
        asked = options.audio
        names = ", ".join(str(each.file) for each in candidates if isinstance(each, VideoFile)) or f"the {asked}"
        raise AudioError(f"{names}: no sound for --audio {asked}; give a sound file, or say --audio none")
    sound, (start, end) = probe_sound(video.file).starting_at(video.begins), options.trim
    return sound if of_source else sound.part(start, (sound.seconds if end is None else end) - start)


def driving_rules(options: DriveOptions) -> DrivingRules:
    """Return a model's driving rules for the user's options; parts outside the region get strength 0.

    As upstream, the head's size stays as it is where the pose alone moves.
    """
    parts = parse_region(options.region)
    wanted = {
        "head": options.head_strength,
        "lips": options.lip_strength,
        "eyes": options.eye_strength,
        "brows": options.brow_strength,
        "face": options.expression_strength,
    }
    strength = {part: wanted[part] * (part in parts) for part in wanted}
    return DrivingRules(
        head=strength["head"],
        size=0.0 if parts == {"head"} else strength["head"],
        lips=strength["lips"],
        eyes=strength["eyes"],
        brows=strength["brows"],
        face=strength["face"],
        strength=options.strength,
        relative=options.relative,
        retarget_eyes=options.retarget_eyes,
        retarget_lips=options.retarget_lips,
        replace=options.replace,
        normalize_lips=options.normalize_lips,
        open_eyes=options.open_eyes,
        friendly=options.friendly,
        stitching=options.stitching,
        observation_variance=options.source_smooth,
    )


def drive_crop(options: DriveOptions, model: PortraitModel) -> CropRule:
    """Return the crop rule of a driver for the user's options."""
    scale = options.driver_scale or DRIVING_CROP.for_model(model.crop_scale).scale
    return CropRule(scale=scale, vx_ratio=options.driver_x, vy_ratio=options.driver_y, rotate=False)
