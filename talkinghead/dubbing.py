"""Give the faces of a source video new voices: head, eyes and light stay, the mouths follow the voices."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from audio2motion.voices import suits_any_model
from liveportrait import Motion, Portrait
from talkinghead.driver.driver import check_assignment
from talkinghead.driver.resample import retime
from talkinghead.driver.speech import generate_motion, sampling_rules
from talkinghead.errors import AudioError, OptionError
from talkinghead.host.isolation import own_settings
from talkinghead.inputs.option_values import Trim
from talkinghead.media.audio import MODEL_RATE, Sound, probe_sound, stream_mono_16k
from talkinghead.media.copying import Changes
from talkinghead.media.image import Picture
from talkinghead.media.mix import Layer, mix
from talkinghead.media.playback import frames_within, play_order
from talkinghead.media.progress import Progress
from talkinghead.media.video import VideoFile
from talkinghead.models import Models
from talkinghead.options import DubOptions, MotionOptions, Options
from talkinghead.pipeline import Compositor, Video, animate_video
from talkinghead.source.dubbed import DubbedVideo, prepare_dubbed
from talkinghead.source.face_track import FaceTrack, fade, track_face
from talkinghead.source.video import open_video_sources

_STRONGEST_LIPS = 2.0
"""The largest `lip_strength` of `MotionOptions`."""


class _Spoken(NamedTuple):
    """What drives one frame.

    Attributes:
        speech: The voice's motion, one frame; None before the voice begins.
        quiet: The face's motion with a silent mouth, one frame, or None.
        share: How far the mouth follows the voice.
    """

    speech: Any
    quiet: Motion | None
    share: float


class _Times(NamedTuple):
    """What is heard and dubbed when.

    Attributes:
        part: The part of the source video that is dubbed, in seconds.
        seconds: How long the longest voice lasts.
        fps: Frames per second of the result.
    """

    part: Trim
    seconds: Fraction
    fps: Fraction


def dub(
    file: VideoFile, voices: Mapping[int | None, Sound], models: Models, options: Options, progress: Progress
) -> Video:
    """Give faces of a video new voices.

    Args:
        file: The video.
        voices: The voice of each face, by its number counted from 0 at the left; None for the only face. All begin
            together.
        models: The loaded networks.
        options: The user's options.
        progress: Wraps the video's frames while its faces are tracked.

    Raises:
        PortraitError: The video shows no face, or several to choose from; or options do not fit it.
    """
    check_assignment([], len(voices), options)
    sampling_rules(models.voice, options.motion)
    times, own = _plan(file, voices, options), _own_sound(file, options.dub)
    sources = open_video_sources(file, models, options.crop, list(voices), guess=False)
    tracks = [track_face(source, times.part, _frames_needed(file, times, options.dub), progress) for source in sources]
    order, voiced = _order(file, len(tracks[0]), times, options.dub)
    dubbed = [prepare_dubbed(source, track, order) for source, track in zip(sources, tracks, strict=True)]
    compositors = [
        _compositor(each, voice, voiced, times.fps, models, options)
        for each, voice in zip(dubbed, voices.values(), strict=True)
    ]

    def pictures() -> Iterator[Picture]:
        animated: Iterator[Picture | None] = itertools.repeat(None)
        for compositor in compositors:
            animated = compositor(animated)
        return animated  # type: ignore[return-value] — every compositor yields pictures

    notes = tuple(dict.fromkeys(itertools.chain(*(each.notes() for each in dubbed))))
    sound = _sound(list(voices.values()), own, times, order, voiced, options.dub)
    changes = _changes(file, tracks, times, voiced) if options.dub.is_part else None
    return Video(dubbed[0], times.fps, len(order), sound, pictures, lambda: notes, changes=changes)


def dub_parts(
    file: VideoFile,
    voice: Sound,
    parts: Sequence[Trim],
    background: float,
    models: Models,
    options: Options,
    progress: Progress,
) -> Video:
    """Give a face of a video a voice in some parts; the video keeps its length, and between the parts everything.

    Args:
        file: The video.
        voice: The voice, from the beginning of the video on.
        parts: When it is heard.
        background: Volume of the video's own sound in these parts.
        models: The loaded networks.
        options: The user's options.
        progress: Wraps the video's frames while its face is tracked.

    Raises:
        PortraitError: The video shows no face, or several to choose from.
    """
    sampling_rules(models.voice, options.motion)
    fps = options.render.fps or file.fps
    (source,) = open_video_sources(file, models, options.crop, [options.crop.face], guess=False)
    track = track_face(source, Trim(Fraction(0), None), None, progress)
    spoken = np.zeros(len(track), np.bool_)
    for part in parts:
        frames = frames_within(part.start, part.end, file.fps, len(track))
        spoken[frames.start : frames.stop] = True
    track = replace(track, share=np.minimum(track.share, fade(spoken, range(len(track)))))
    count = math.ceil(len(track) / file.fps * fps)
    dubbed = prepare_dubbed(source, track, play_order(len(track), count, "hold", fps, file.fps))
    compositor = _compositor(dubbed, voice, range(count), fps, models, options)
    layers, own = [Layer(voice)], None
    ducked = tuple((float(part.start), float(part.end or count / fps)) for part in parts)
    if file.has_sound:
        own = probe_sound(file.file).starting_at(file.begins)
        layers.append(Layer(own, volume=background, ducked=ducked))
    sound = mix(layers, count / fps, own)
    changes = Changes(file, track.share > 0, ducked)
    return Video(dubbed, fps, count, sound, lambda: compositor(itertools.repeat(None)), dubbed.notes, changes=changes)


def check_one_voice(name: str, asked: DubOptions, num_voices: int) -> None:
    """Check that nothing is asked of a picture that only videos can do.

    Raises:
        OptionError: There are several voices, or an option is for videos.
    """
    if num_voices > 1:
        raise OptionError(f"{name}: several voices are for videos, this is a picture: give one voice")
    usual = DubOptions()
    names = {each.name: each.metadata["flag"] or each.name.replace("_", "-") for each in fields(usual)}
    changed = next((names[name] for name in names if getattr(asked, name) != getattr(usual, name)), None)
    if changed:
        raise OptionError(f"{name}: --{changed} is for videos, this is a picture: leave it out")


def check_no_reference(file: Path, asked: MotionOptions) -> None:
    """Check that no clip is to lend a video head motion.

    Raises:
        OptionError: One is.
    """
    if asked.reference:
        raise OptionError(f"{file}: a video has its own head motion, --reference is for pictures: leave it out")


def _plan(file: VideoFile, voices: Mapping[int | None, Sound], options: Options) -> _Times:
    """Check that voices and video fit each other.

    Raises:
        OptionError: A voice is too long, or an option is for pictures.
    """
    check_no_reference(file.file, options.motion)
    asked, seconds = options.dub, max(voice.seconds for voice in voices.values())
    length, name = file.num_frames / file.fps, max(voices.values(), key=lambda voice: voice.seconds).file
    start = Fraction(asked.start or 0)
    fps = options.render.fps or file.fps
    if not asked.is_part:
        if asked.loop == "cut" and seconds > length + 1 / file.fps:
            raise OptionError(
                f"{file.file}: lasts {float(length):.1f} s, {name} {float(seconds):.1f} s: give --loop pingpong, hold"
                " or stretch, or a shorter voice"
            )
        return _Times(Trim(start, None), seconds, fps)
    if start >= length:
        raise OptionError(
            f"{file.file}: lasts {float(length):.1f} s, --from {float(start):g} is after its end: give an earlier one"
        )
    end = length if asked.end is None else min(Fraction(asked.end), length)
    if seconds > end - start + 1 / file.fps:
        raise OptionError(
            f"{name}: lasts {float(seconds):.1f} s, the part to dub {float(end - start):.1f} s: give another --from and"
            " --to, or a shorter voice"
        )
    return _Times(Trim(start, start + seconds if asked.end is None else Fraction(asked.end)), seconds, fps)


def _own_sound(file: VideoFile, asked: DubOptions) -> Sound | None:
    """Return the video's own sound, if it is heard at all.

    Raises:
        AudioError: It is wanted, and there is none.
    """
    if not file.has_sound:
        if asked.keep_background:
            raise AudioError(f"{file.file}: has no sound that could be kept; leave --keep-background out")
        return None
    return probe_sound(file.file).starting_at(file.begins) if asked.keep_background or asked.is_part else None


def _frames_needed(file: VideoFile, times: _Times, asked: DubOptions) -> int | None:
    """Return how many frames of the video are needed at most; None for all."""
    whole = asked.is_part or asked.loop == "stretch"
    return None if whole else math.ceil(times.seconds * file.fps) + 1


def _order(file: VideoFile, length: int, times: _Times, asked: DubOptions) -> tuple[list[int], range]:
    """Return which frames of the video are shown, and in which frames of the result the voices are heard."""
    if asked.is_part:
        count = math.ceil(length / file.fps * times.fps)
        order = play_order(length, count, "hold", times.fps, file.fps)
        return order, frames_within(times.part.start, times.part.end, times.fps, count)
    count = math.ceil(times.seconds * times.fps)
    return play_order(length, count, asked.loop, times.fps, file.fps), range(count)


def _sound(
    voices: Sequence[Sound],
    own: Sound | None,
    times: _Times,
    order: Sequence[int],
    voiced: range,
    asked: DubOptions,
) -> Sound:
    """Mix the voices and the video's own sound."""
    if own is None and len(voices) == 1 and not asked.is_part:
        return voices[0]
    layers = [Layer(voice, voiced.start / times.fps) for voice in voices]
    if own is not None:
        ends = (voiced.start / times.fps, voiced.stop / times.fps) if asked.is_part else (-1, times.seconds + 1)
        ducked = ((float(ends[0]), float(ends[1])),)
        layers.append(Layer(own, Fraction(0), asked.keep_background, ducked, repeats=not asked.is_part))
    return mix(layers, len(order) / times.fps, own if asked.is_part else None)


def _changes(file: VideoFile, tracks: Sequence[FaceTrack], times: _Times, voiced: range) -> Changes:
    """Return what dubbing a part changes of the video."""
    start = voiced.start / times.fps
    end = max(voiced.stop / times.fps, start + times.seconds)
    return Changes(file, np.any([track.share > 0 for track in tracks], axis=0), [(float(start), float(end))])


def _compositor(
    dubbed: DubbedVideo, voice: Sound, voiced: range, fps: Fraction, models: Models, options: Options
) -> Compositor:
    """Return a function that gives one face its voice, in pictures in which other faces have theirs already."""

    @own_settings()
    def compositor(backgrounds: Iterator[Picture | None]) -> Iterator[Picture]:
        samples = itertools.chain(stream_mono_16k(voice), [torch.zeros(MODEL_RATE, dtype=torch.float32)])
        return speak_in_video(dubbed, samples, voiced, fps, models, options.motion, backgrounds)

    return compositor


def speak_in_video(
    dubbed: DubbedVideo,
    samples: Iterable[Tensor],
    voiced: range,
    fps: Fraction,
    models: Models,
    motion: MotionOptions,
    backgrounds: Iterator[Picture | None] = itertools.repeat(None),  # noqa: B008 — has no state
) -> Iterator[Picture]:
    """Give one face of a video a voice.

    Args:
        dubbed: The video, the face and the order of the frames.
        samples: The voice, 16 kHz mono.
        voiced: The frames of the result during which the voice is heard.
        fps: Frames per second of the result.
        models: The loaded networks.
        motion: The strength of the mouth's motion, and the seed.
        backgrounds: Pictures in which other faces are animated already; None for the video's own.

    Yields:
        The pictures of the result.
    """
    options = replace(motion, lips_only=True, reference="")
    if suits_any_model(models.voice):
        options = replace(options, lip_strength=min(motion.lip_strength * dubbed.track.lip_gain, _STRONGEST_LIPS))
    driving, from_speech = generate_motion(models, samples, options)
    frames = (part[n] for part in retime(driving, fps, len(voiced)) for n in range(len(part)))

    def spoken() -> Iterator[_Spoken]:
        for shown, n in enumerate(dubbed.order):
            quiet = None if dubbed.quiet is None else dubbed.quiet[n]
            yield _Spoken(next(frames) if shown in voiced else None, quiet, float(dubbed.track.share[n]))

    def to_keypoints(pairs: Iterable[tuple[Portrait, _Spoken]]) -> Iterator[Tensor]:
        for portrait, (speech, quiet, share) in pairs:
            device = portrait.x_s.device
            if suits_any_model(models.voice):
                x_d = models.portrait.dubbed_keypoints(portrait, speech.to(device), quiet and quiet.to(device))
            else:
                x_d = from_speech(portrait, speech.to(device))
            yield torch.lerp(portrait.x_s, x_d, share)

    return animate_video(dubbed, spoken(), to_keypoints, models, backgrounds)
