"""What a voice makes a portrait do: performances, which fit any face, and motions, which fit the official networks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from torch import Tensor

from audio2motion.flow.model import MotionFlow
from audio2motion.joyvasa import JoyVASA
from liveportrait import Motion, Portrait
from liveportrait.driving_rules import DrivingRules
from talkinghead.driver.reference import Reference, borrow, borrow_motion
from talkinghead.driver.resample import scale_motion
from talkinghead.host.isolation import own_settings
from talkinghead.models import Models
from talkinghead.options import MotionOptions
from talkinghead.render import ToKeypoints


@own_settings()
def generate_motion(
    models: Models, chunks: Iterable[Tensor], options: MotionOptions, reference: Reference | None = None
) -> tuple[Iterator[Any], ToKeypoints[Any]]:
    """Hear a voice.

    Args:
        models: What hears and what renders.
        chunks: 16 kHz mono, each of shape (N,), N ≥ 0; at least one sample together.
        options: How the portrait moves.
        reference: What lends its head and blinks, if anything.

    Returns:
        Parts of what it does, at 25 frames a second, and how the model's keypoints do it.
    """
    voice, portrait = models.voice, models.portrait
    if not isinstance(voice, JoyVASA | MotionFlow):
        speech_motion = voice.stream(chunks, seed=options.seed)
        speech_motion = borrow(speech_motion, reference) if reference else speech_motion
        return scale_motion(speech_motion, options, voice.config.num_mouth), portrait.speech_keypoints
    motion = voice.stream(chunks, seed=options.seed)
    first = next(motion)
    anchor, rules = first[0].to(models.device), speech_rules(options)

    def to_keypoints(face: Portrait, part: Motion) -> Tensor:
        return portrait.driving_keypoints(face, part, anchor, rules)

    motion = chain([first], motion)
    return borrow_motion(motion, first[0], reference) if reference else motion, to_keypoints


def speech_rules(options: MotionOptions) -> DrivingRules:
    """Turn the user's options into a model's rules for motion that a voice generated."""
    return DrivingRules(
        head=options.head,
        lips=options.lip_strength,
        eyes=options.face if options.eyes else 0.0,
        brows=options.face,
        face=options.face,
        relative=True,
        retarget_eyes=False,
        retarget_lips=False,
        replace=False,
        normalize_lips=False,
        friendly="expression",
        stitching=True,
        spoken=True,
    )
