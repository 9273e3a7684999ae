"""Animate a speaker during one shot.

Every shot begins and ends with the portrait's own pose, so shots join without a jump in any order. Therefore a sentence
can be changed, added or removed without rendering the others again.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audio2motion import FRAME_RATE
from audio2motion.voices import suits_any_model
from liveportrait import Motion, Portrait, PortraitModel, SpeechMotion
from liveportrait.keypoints import euler_degrees, rotation_matrix
from liveportrait.regions import OFFICIAL
from liveportrait.sliders import Sliders
from talkinghead.driver.reference import Reference
from talkinghead.driver.resample import retime
from talkinghead.driver.sliders import interpolate_keyframes
from talkinghead.driver.speech import generate_motion
from talkinghead.dubbing import speak_in_video
from talkinghead.media.audio import MODEL_RATE, stream_mono_16k
from talkinghead.media.image import Picture
from talkinghead.media.playback import play_order
from talkinghead.models import Models
from talkinghead.narration.script import Delivery, Keyframes
from talkinghead.narration.timeline import Shot
from talkinghead.options import EditOptions, MotionOptions
from talkinghead.render import ToKeypoints
from talkinghead.source.dubbed import DubbedVideo

RISE_SECONDS, SETTLE_SECONDS = 0.5, 0.8
"""Duration of the fade from the portrait's own pose into motion, and back."""


def animate_shot(
    shot: Shot,
    fps: Fraction,
    speaker: str,
    *,
    listens: bool,
    models: Models,
    options: MotionOptions,
    reference: Reference | None = None,
) -> tuple[Iterator[Any], ToKeypoints[Any]]:
    """Generate the motion of one speaker during a shot.

    Args:
        shot: The shot.
        fps: Frames per second.
        speaker: The name of the speaker; speakers move differently during the same line.
        listens: Whether the speaker is silent during the line.
        models: The loaded networks.
        options: The strengths and the seed.
        reference: A clip whose head motion, blinks and size of mouth movements are used, or None; its start depends on
            the seed and the text.

    Returns:
        Parts of the motion, `shot.frames` frames in total, and a function that turns them into keypoints.
    """
    seconds = shot.frames / fps
    silent = listens or shot.file is None
    sound = _silence(math.ceil(seconds * MODEL_RATE)) if silent else _sound(shot, seconds)
    delivery = Delivery() if silent else shot.line.delivery
    seed = movement_seed(options.seed, speaker, shot.line.text, listens=listens)
    options = replace(options, **{**delivery.strengths, "seed": seed})
    driving, to_keypoints = generate_motion(models, sound, options, reference and reference.starting(seed))
    num_frames = math.ceil(seconds * FRAME_RATE)
    settled: Iterator[Any] = (
        settle(driving, num_frames, models.voice.num_mouth)
        if suits_any_model(models.voice)
        else settle_motion(driving, num_frames)
    )
    if delivery.keyframes:
        to_keypoints = EditedKeypoints(models.portrait, to_keypoints, delivery.keyframes, shot.frames, fps)
    return retime(settled, fps, shot.frames), to_keypoints


def speak_shot_in_video(
    dubbed: DubbedVideo,
    shot: Shot,
    fps: Fraction,
    speaker: str,
    *,
    listens: bool,
    models: Models,
    options: MotionOptions,
) -> Iterator[Picture]:
    """Give the face of a video the speech of a shot; the video plays on to and fro from where the last shot ended.

    Args:
        dubbed: The video, whatever its order.
        shot: The shot.
        fps: Frames per second.
        speaker: The name of the speaker.
        listens: Whether the speaker is silent during the line.
        models: The loaded networks.
        options: The strength of the mouth's motion, and the seed.

    Yields:
        The pictures of the shot.
    """
    silent = listens or shot.file is None
    sound = _silence(math.ceil(shot.frames / fps * MODEL_RATE)) if silent else _sound(shot, shot.frames / fps)
    strength = (Delivery() if silent else shot.line.delivery).strengths.get("lip_strength", options.lip_strength)
    seed = movement_seed(options.seed, speaker, shot.line.text, listens=listens)
    options = replace(options, seed=seed, lip_strength=strength, reference="")
    rate = dubbed.source.file.fps
    order = play_order(len(dubbed.track), shot.frames, "pingpong", fps, rate, shot.start)
    return speak_in_video(replace(dubbed, order=order), sound, range(shot.frames), fps, models, options)


def movement_seed(seed: int, voice: str, text: str, *, listens: bool) -> int:
    """Return the seed of one shot's motion, which depends on text and speaker but not on the shot's position."""
    digest = hashlib.sha256(f"{seed}\0{voice}\0{text}\0{listens}".encode()).digest()
    return int.from_bytes(digest[:6], "big")


def settle(speech_motion: Iterable[SpeechMotion], num_frames: int, num_mouth: int) -> Iterator[SpeechMotion]:
    """Fade all motion except that of the mouth in and out.

    Args:
        speech_motion: The motion at 25 fps, in parts.
        num_frames: The total number of frames.
        num_mouth: The number of expression coefficients that move the mouth; they come first.
    """
    weights = fade_weights(num_frames, Fraction(FRAME_RATE))
    done = 0
    for part in speech_motion:
        weight = weights[done : done + len(part), None]
        done += len(part)
        turned = (angle * weight[:, 0] for angle in euler_degrees(part.rotation))
        mouth, rest = part.expression[:, :num_mouth], part.expression[:, num_mouth:]
        yield replace(
            part,
            expression=torch.cat([mouth, rest * weight], 1),
            eye_openness=1 + (part.eye_openness - 1) * weight,
            gaze_deg=part.gaze_deg * weight,
            rotation=rotation_matrix(*turned),
            translation=part.translation * weight,
        )


def settle_motion(motion: Iterable[Motion], num_frames: int) -> Iterator[Motion]:
    """Fade all motion of the official networks except that of the lips in and out of its first frame.

    Args:
        motion: The motion at 25 fps, in parts.
        num_frames: The total number of frames.
    """
    weights, done = fade_weights(num_frames, Fraction(FRAME_RATE)), 0
    first: Motion | None = None
    for part in motion:
        first = first or part[0]
        weight = weights[done : done + len(part), None]
        done += len(part)
        turn = euler_degrees(part.rotation @ first.rotation.transpose(1, 2))
        expression = torch.lerp(first.expression, part.expression, weight[..., None])
        yield replace(
            part,
            expression=OFFICIAL.pick("lips", part.expression, expression),
            rotation=rotation_matrix(*(angle * weight[:, 0] for angle in turn)) @ first.rotation,
            translation=torch.lerp(first.translation, part.translation, weight),
            scale=torch.lerp(first.scale, part.scale, weight),
        )


def fade_weights(num_frames: int, fps: Fraction) -> Tensor:
    """Return the weights of motion in a shot, shape (num_frames,): 0 at both ends, 1 between."""
    steps = torch.arange(num_frames, dtype=torch.float32)
    ends = []
    for seconds, distance in ((RISE_SECONDS, steps), (SETTLE_SECONDS, steps.flip(0))):
        span = max(min(round(seconds * float(fps)), num_frames // 2), 1)
        ends.append((distance / span).clamp(0, 1))
    share = torch.minimum(*ends)
    return share * share * (3 - 2 * share)


@dataclass
class EditedKeypoints:
    """Turns generated motion into keypoints and adds slider edits; used for one shot only.

    Attributes:
        model: The renderer.
        to_keypoints: Turns the motion into keypoints.
        keyframes: The edits.
        frames: The number of frames of the shot.
        fps: Frames per second.
        done: The number of frames so far.
    """

    model: PortraitModel
    to_keypoints: ToKeypoints[SpeechMotion]
    keyframes: Keyframes
    frames: int
    fps: Fraction
    done: int = 0

    def __call__(self, portrait: Portrait, part: SpeechMotion) -> Tensor:
        """Return x_d of the next frames, shape (T, K, 3)."""
        x_d = self.to_keypoints(portrait, part)
        weights = fade_weights(self.frames, self.fps)[self.done : self.done + len(part)]
        edits = self._edits(portrait.motion)
        rest = self.model.edit(portrait, Sliders())
        added = [weight * (self.model.edit(portrait, edits[self.done + n]) - rest) for n, weight in enumerate(weights)]
        self.done += len(part)
        return x_d + torch.cat(added).to(x_d)

    def _edits(self, source: Motion) -> list[Sliders]:
        """Return the edit of every frame; after the last keyframe it is constant."""
        keyframes = {time: dict(sliders) for time, sliders in self.keyframes.items()}
        track = interpolate_keyframes(keyframes, EditOptions(), source, self.fps)
        edits = list(islice(track.sliders(), self.frames))
        return [edits[min(n, len(edits) - 1)] for n in range(self.frames)]


def _sound(shot: Shot, seconds: Fraction) -> Iterator[Tensor]:
    """Yield the sound of a shot from its first frame to its last, 16 kHz mono."""
    left = math.ceil(seconds * MODEL_RATE)
    lead = torch.zeros(round(shot.lead * MODEL_RATE), dtype=torch.float32)
    for samples in (lead, *stream_mono_16k(Path(shot.file or ""))):
        if left > 0:
            yield samples[:left]
        left -= len(samples)
    yield from _silence(left)


def _silence(num_samples: int) -> Iterator[Tensor]:
    for start in range(0, num_samples, MODEL_RATE):
        yield torch.zeros(min(MODEL_RATE, num_samples - start), dtype=torch.float32)
