"""Generate driving motion from speech."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any, cast

from torch import Tensor

from audio2motion.flow.config import FlowRules
from audio2motion.flow.model import MotionFlow
from audio2motion.joyvasa.config import GenerationRules
from audio2motion.joyvasa.model import JoyVASA
from audio2motion.voices import MotionGenerator, suits_any_model
from liveportrait import Motion, Portrait
from liveportrait.driving_rules import DrivingRules
from talkinghead.driver.reference import Reference, apply_reference, apply_reference_to_motion
from talkinghead.driver.resample import scale_motion
from talkinghead.errors import OptionError
from talkinghead.host.isolation import made_alone, own_settings
from talkinghead.models import Models
from talkinghead.options import MotionOptions
from talkinghead.render import ToKeypoints


def sampling_rules(voice: MotionGenerator, options: MotionOptions) -> GenerationRules | FlowRules | None:
    """Return how a voice model samples its motion, or None if it does not sample.

    Raises:
        OptionError: An option of sampling is set that the voice model does not have.
    """
    usual = MotionOptions()
    names = ("guidance", "sampling_steps", "sampler", "position_encoding")
    changed = [name for name in names if getattr(options, name) != getattr(usual, name)]
    known = {JoyVASA: names, MotionFlow: names[:2]}.get(type(voice), ())
    if unknown := [name for name in changed if name not in known]:
        raise OptionError(f"{unknown[0]} is not for this voice model: leave it out, or give --voice-model joyvasa")
    if isinstance(voice, MotionFlow):
        rules = FlowRules()
        steps, guidance = options.sampling_steps or rules.num_steps, options.guidance
        return replace(rules, num_steps=steps, guidance=rules.guidance if guidance is None else guidance)
    if not isinstance(voice, JoyVASA):
        return None
    rules = GenerationRules.quick(voice.config)
    return replace(
        rules,
        guidance=rules.guidance if options.guidance is None else options.guidance,
        num_steps=None if options.sampler == "full" else _steps(voice, options.sampling_steps or rules.num_steps),
        constant_position=None if options.position_encoding == "auto" else options.position_encoding == "constant",
    )


def _steps(voice: JoyVASA, wanted: int | None) -> int | None:
    if wanted is not None and wanted > voice.config.num_steps:
        raise OptionError(f"sampling_steps is {wanted}, this voice model has {voice.config.num_steps}")
    return wanted


@own_settings()
def generate_motion(
    models: Models, chunks: Iterable[Tensor], options: MotionOptions, reference: Reference | None = None
) -> tuple[Iterator[Any], ToKeypoints[Any]]:
    """Generate motion from speech.

    Args:
        models: The loaded networks.
        chunks: 16 kHz mono, each of shape (N,), N ≥ 0; at least one sample together.
        options: How the portrait moves.
        reference: A clip whose head motion, blinks and size of mouth movements are used, or None.

    Returns:
        Parts of the motion at 25 fps, and a function that turns them into keypoints.
    """
    voice, portrait = models.voice, models.portrait
    if suits_any_model(voice):
        speech_motion = made_alone(voice.stream(chunks, seed=options.seed))
        if reference:
            speech_motion = apply_reference(speech_motion, reference, voice.num_mouth)
        return scale_motion(speech_motion, options, voice.num_mouth), portrait.speech_keypoints
    motion = _sampled(voice, chunks, options)
    first = next(motion)
    anchor, rules = first[0].to(models.device), speech_rules(options)

    def to_keypoints(face: Portrait, part: Motion) -> Tensor:
        return portrait.driving_keypoints(face, part, anchor, rules)

    motion = chain([first], motion)
    return apply_reference_to_motion(motion, first[0], reference) if reference else motion, to_keypoints


def _sampled(voice: MotionGenerator, chunks: Iterable[Tensor], options: MotionOptions) -> Iterator[Motion]:
    rules = sampling_rules(voice, options)
    if isinstance(voice, JoyVASA) and isinstance(rules, GenerationRules):
        return voice.stream(chunks, seed=options.seed, rules=rules)
    if isinstance(voice, MotionFlow) and isinstance(rules, FlowRules):
        return voice.stream(chunks, seed=options.seed, rules=rules)
    return cast(Iterator[Motion], voice.stream(chunks, seed=options.seed))


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
