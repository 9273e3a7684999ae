"""A driver watched through: its face followed, its motion read frame by frame, its pictures forgotten."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import torch

from liveportrait import Crop, Motion, TemplateError
from liveportrait.following import FollowRules, neutral_frame
from liveportrait.templates import Template, load_template, save_template
from talkinghead.driving import interpolate
from talkinghead.errors import OptionError, VideoError
from talkinghead.face import CropFrame, FaceTracker, NoFaceError, choose_face, cut, frame_face, landmarks_in_crop
from talkinghead.face.crop import DRIVING_CROP, Array
from talkinghead.media.audio import Sound, probe_sound
from talkinghead.media.files import output_error
from talkinghead.media.image import Picture, is_still, read_image
from talkinghead.media.video import VideoFile, VideoFrame, probe_video, read_frames
from talkinghead.models import Models
from talkinghead.options import DriveOptions, Options, Trim, parse_region

Study = Callable[[Iterable[VideoFrame], int], Iterable[VideoFrame]]
"""Takes the frames of a driver and their likely number and hands them on: a shell's progress bar."""

_BATCH = 16
"""Driving faces that are read at a time."""

_PATIENCE = Fraction(1)
"""Seconds without a face after which a shell reports the gap; shorter ones are bridged silently."""


@dataclass(frozen=True)
class Driver:
    """The motion of a driver.

    Attributes:
        name: What to call it in messages.
        motion: T frames; where no face was seen, the motion between its neighbours.
        fps: Frames a second.
        is_video: Whether it moves; a single picture does not.
        notes: What a user should know about it.
    """

    name: str
    motion: Motion
    fps: Fraction
    is_video: bool
    notes: tuple[str, ...] = field(default=())

    def anchor(self, number: int | None) -> Motion | None:
        """Return the frame that changes are measured against, or None where there is a single picture.

        Args:
            number: Which, counted from 1; the most neutral one unless given.

        Raises:
            OptionError: There are fewer frames.
        """
        if not self.is_video:
            return None
        if number is not None and number > len(self.motion):
            raise OptionError(f"anchor is frame {number}, but {self.name} has {len(self.motion)} frames to drive with")
        return self.motion[neutral_frame(self.motion) if number is None else number - 1]


Given = VideoFile | Template | Picture
"""What may drive, before anything has been read from it."""


def open_driver(path: str | os.PathLike[str]) -> Given:
    """Tell what a file is, and make sure that it can be read.

    Args:
        path: A video, a picture, or a motion template.

    Raises:
        PortraitError: It is missing, or none of these.
    """
    file = Path(path)
    if file.suffix.lower() in {".safetensors", ".pkl"}:
        return load_template(file)
    return read_image(file) if is_still(file) else probe_video(file)


def watch_driver(given: Given, name: str, models: Models, options: Options, study: Study) -> Driver:
    """Read the motion of whatever drives.

    Args:
        given: What `open_driver` returned.
        name: What to call it in messages.
        models: What reads motion.
        options: Which part of it, and how many frames a second.
        study: Handed the frames of a video on their way.

    Raises:
        TemplateError: A template was made for another model.
        NoFaceError: There is no face.
        VideoError: No frames are left.
    """
    fps, trim = options.render.fps, options.drive.trim
    if isinstance(given, Template):
        found, own = given.motion.num_keypoints, models.portrait.num_keypoints
        if found != own:
            raise TemplateError(f"{name}: made for a model with {found} keypoints, this one has {own}: make it anew")
        return _play(given, name, trim, fps)
    if isinstance(given, VideoFile):
        return watch_video(given, study(trimmed(given.file, trim), given.num_frames), models, fps)
    landmarks = choose_face(models.faces.detect(given), None, name).landmarks
    (motion,) = _motions(models, [(given, landmarks)])
    return Driver(name, motion, fps or Fraction(25), is_video=False)


def _play(template: Template, name: str, trim: Trim, fps: Fraction | None) -> Driver:
    """Take the part of a template that the user chose, at the rate asked for."""
    times = [n / template.fps for n in range(len(template.motion))]
    kept = [n for n, time in enumerate(times) if time >= trim.start and (trim.end is None or time < trim.end)]
    if not kept:
        raise TemplateError(f"{name}: lasts {float(len(times) / template.fps):.2f} s, --trim leaves nothing of it")
    rate = fps or template.fps
    positions = _positions([times[n] for n in kept], list(range(len(kept))), rate)
    motion = interpolate(template.motion[kept[0] : kept[-1] + 1], positions)
    return Driver(name, motion, rate, is_video=len(template.motion) > 1)


def watch_video(video: VideoFile, frames: Iterable[VideoFrame], models: Models, fps: Fraction | None) -> Driver:
    """Read the motion of a driving video, in constant memory but for the motion itself.

    Args:
        video: The file.
        frames: Its frames, or the part of them that drives.
        models: What reads motion.
        fps: Frames a second to come out; the video's own unless given.

    Raises:
        VideoError: There are no frames.
        NoFaceError: None of them shows a face.
    """
    times: list[Fraction] = []
    seen: list[int] = []
    parts = list(_motions(models, _faces(frames, times, seen)))
    if not times:
        raise VideoError(f"{video.file}: no frames in the part that --trim chooses")
    if not parts:
        raise NoFaceError(f"{video.file}: no face in any of its {len(times)} frames; give a video of one face")
    rate = fps or video.fps
    motion = interpolate(Motion.cat(parts), _positions(times, seen, rate))
    return Driver(str(video.file), motion, rate, len(times) > 1, _notes(video.file, times, seen))


def write_template(driver: Driver, file: Path) -> None:
    """Write a driver's motion, complete or not at all.

    Raises:
        OutputError: It cannot be written there.
    """
    partial = file.with_name(f".{file.stem}.{secrets.token_hex(4)}.part.safetensors")
    try:
        save_template(Template(driver.motion, driver.fps), partial)
        partial.replace(file)
    except OSError as error:
        raise output_error(file, error) from error
    finally:
        partial.unlink(missing_ok=True)


def trimmed(path: str | os.PathLike[str], trim: Trim) -> Iterator[VideoFrame]:
    """Decode the part of a video that the user chose; times count from the video's first frame."""
    first: Fraction | None = None
    for frame in read_frames(path):
        first = frame.seconds if first is None else first
        seconds = frame.seconds - first
        if trim.end is not None and seconds >= trim.end:
            return
        if seconds >= trim.start:
            yield replace(frame, seconds=seconds)


def repeated(motion: Motion, count: int) -> Iterator[Motion]:
    """Play a motion to its end, back to its beginning, and so on, frame by frame: 0 1 2 1 0 1 ... up to `count`."""
    length = len(motion)
    around = max(2 * length - 2, 1)
    for n in range(count):
        at = n % around
        yield motion[min(at, around - at)]


def choose_sound(given: Given, source: Picture | VideoFile, options: DriveOptions) -> Sound | None:
    """Find the sound that the user asked for; the driver's is cut like its pictures.

    Raises:
        PortraitError: A file was asked for that has no sound.
    """
    if options.audio == "none":
        return None
    if options.audio not in {"auto", "driver", "source"}:
        return probe_sound(options.audio)
    of_source = options.audio == "source" or (options.audio == "auto" and isinstance(source, VideoFile))
    heard = source if of_source else given
    if not isinstance(heard, VideoFile) or not heard.has_sound:
        return None
    sound, (start, end) = probe_sound(heard.file), options.trim
    return sound if of_source else sound.part(start, (sound.seconds if end is None else end) - start)


def follow_rules(options: DriveOptions) -> FollowRules:
    """Turn the user's options into a model's rules: what is outside the region has no strength."""
    parts = parse_region(options.region)
    wanted = {
        "head": options.head_strength,
        "lips": options.lip_strength,
        "eyes": options.eye_strength,
        "brows": options.brow_strength,
        "face": options.expression_strength,
    }
    strengths = {part: options.strength * wanted[part] * (part in parts) for part in wanted}
    return FollowRules(
        **strengths,
        relative=options.relative,
        retarget_eyes=options.retarget_eyes,
        retarget_lips=options.retarget_lips,
        replace=options.replace,
        normalize_lips=options.normalize_lips,
        spoken=False,
    )


def _faces(frames: Iterable[VideoFrame], times: list[Fraction], seen: list[int]) -> Iterator[tuple[Picture, Array]]:
    """Follow the face; note every frame's time, and the numbers of those that show it."""
    tracker = FaceTracker()
    for frame in frames:
        points = tracker.track(frame.picture)
        if points is not None:
            seen.append(len(times))
            yield frame.picture, points
        times.append(frame.seconds)


def _motions(models: Models, faces: Iterable[tuple[Picture, Array]]) -> Iterator[Motion]:
    """Read motion batch by batch, through a box that stays where the first face was."""
    place: CropFrame | None = None
    crops: list[Crop] = []
    for picture, points in faces:
        place = place or frame_face(points, DRIVING_CROP)
        image = torch.zeros(1, 3, 0, 0)
        if not models.portrait.extracts_from_landmarks:
            image = torch.from_numpy(cut(picture, place, smooth=False)).permute(2, 0, 1)[None].float() / 255
        crops.append(Crop(image, torch.from_numpy(landmarks_in_crop(points, place))[None]))
        if len(crops) == _BATCH:
            yield _extract(models, crops)
            crops = []
    if crops:
        yield _extract(models, crops)


def _extract(models: Models, crops: list[Crop]) -> Motion:
    images = torch.cat([crop.image for crop in crops])
    landmarks = torch.cat([crop.landmarks for crop in crops if crop.landmarks is not None])
    with torch.inference_mode():
        return models.portrait.extract(Crop(images, landmarks).to(models.device)).to("cpu")


def _positions(times: list[Fraction], seen: list[int], fps: Fraction) -> list[Fraction]:
    """Return, for every frame to come out, where it lies among the frames that show a face.

    Frames are taken by their times, so a variable frame rate comes out constant and nothing drifts. Times that
    are a rounded constant rate are taken as they were meant.
    """
    begun = times[0]
    shown = [times[n] - begun for n in seen]
    if all(abs((time - begun) * fps - n) < Fraction(1, 2) for n, time in enumerate(times)):
        shown, count = [n / fps for n in seen], len(times)
    else:
        usual = (times[-1] - begun) / max(len(times) - 1, 1)
        count = max(round((times[-1] - begun + usual) * fps), 1)
    positions, n = [], 0
    for frame in range(count):
        time = frame / fps
        while n + 1 < len(shown) and shown[n + 1] <= time:
            n += 1
        after = min(n + 1, len(shown) - 1)
        length = shown[after] - shown[n]
        share = (time - shown[n]) / length if length else Fraction(0)
        positions.append(n + min(max(share, Fraction(0)), Fraction(1)))
    return positions


def _notes(file: Path, times: list[Fraction], seen: list[int]) -> tuple[str, ...]:
    """Say where the face was out of sight for long."""
    edges = [-1, *seen, len(times)]
    gaps = [(a + 1, b) for a, b in pairwise(edges) if b > a + 1]
    ends = [*times, times[-1]]
    long = [(a, b) for a, b in gaps if ends[b] - times[a] >= _PATIENCE]
    if not long:
        return ()
    lost = sum(b - a for a, b in long)
    return (f"{file}: no face in {lost} of {len(times)} frames, first at {float(times[long[0][0]]):.1f} s: it waits",)
