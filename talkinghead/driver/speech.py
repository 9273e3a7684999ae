"""Generate driving motion from speech."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, cast

from torch import Tensor

from audio2motion.voices import suits_any_model
from liveportrait import Motion, Portrait
from liveportrait.driving_rules import DrivingRules
from talkinghead.driver.reference import Reference, apply_reference, apply_reference_to_motion
from talkinghead.driver.resample import scale_motion
from talkinghead.host.isolation import own_settings
from talkinghead.models import Models
from talkinghead.options import MotionOptions
from talkinghead.render import ToKeypoints


@own_settings()
def generate_motion(
    models: Models, chunks: Iterable[Tensor], options: MotionOptions, reference: Reference | None = None
) -> tuple[Iterator[Any], ToKeypoints[Any]]:
    """Generate motion from speech.

    Args:
        models: The loaded networks.
        chunks: 16 kHz mono, each of shape (N,), N ≥ 0; at least one sample together.
        options: How the portrait moves.
        reference: A clip whose head motion and blinks are used, or None.

    Returns:
        Parts of the motion at 25 fps, and a function that turns them into keypoints.
    """
    voice, portrait = models.voice, models.portrait
    if suits_any_model(voice):
        speech_motion = voice.stream(chunks, seed=options.seed)
        speech_motion = apply_reference(speech_motion, reference) if reference else speech_motion
        return scale_motion(speech_motion, options, voice.num_mouth), portrait.speech_keypoints
    motion = cast(Iterator[Motion], voice.stream(chunks, seed=options.seed))
    first = next(motion)
    anchor, rules = first[0].to(models.device), speech_rules(options)

    def to_keypoints(face: Portrait, part: Motion) -> Tensor:
        return portrait.driving_keypoints(face, part, anchor, rules)

    motion = chain([first], motion)
    return apply_reference_to_motion(motion, first[0], reference) if reference else motion, to_keypoints


def speech_rules(options: MotionOptions) -> DrivingRules:
    """Return a model's driving rules for motion generated from speech.

    As JoyVASA's defaults, they leave the lips absolute, without rescaling to the size of a person's face.
    """
    return DrivingRules(
        head=options.head,
        size=options.head,
        lips=options.lip_strength,
        eyes=options.face if options.eyes else 0.0,
        brows=options.face,
        face=options.face,
        strength=1.0,
        relative=False,
        retarget_eyes=False,
        retarget_lips=False,
        replace=False,
        normalize_lips=False,
        open_eyes=False,
        friendly="expression",
        stitching=True,
        observation_variance=0.0,
        spoken=True,
    )
