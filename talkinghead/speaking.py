"""What a voice makes a portrait do: performances, which fit any face, and motions, which fit the official networks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from torch import Tensor

from audio2motion.flow.model import MotionFlow
from audio2motion.joyvasa import JoyVASA
from liveportrait import Motion, Portrait
from liveportrait.following import FollowRules
from talkinghead.driving import direct
from talkinghead.isolation import own_settings
from talkinghead.models import Models
from talkinghead.options import MotionOptions
from talkinghead.reference import Reference, borrow, borrow_motion
from talkinghead.render import Pose


@own_settings()
def enact(
    models: Models, chunks: Iterable[Tensor], options: MotionOptions, reference: Reference | None = None
) -> tuple[Iterator[Any], Pose[Any]]:
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
        performance = voice.stream(chunks, seed=options.seed)
        performance = borrow(performance, reference) if reference else performance
        return direct(performance, options, voice.config.num_mouth), portrait.perform
    motion = voice.stream(chunks, seed=options.seed)
    first = next(motion)
    anchor, rules = first[0].to(models.device), spoken_rules(options)

    def follow(face: Portrait, part: Motion) -> Tensor:
        return portrait.follow(face, part, anchor, rules)

    motion = chain([first], motion)
    return borrow_motion(motion, first[0], reference) if reference else motion, follow


def spoken_rules(options: MotionOptions) -> FollowRules:
    """Turn the user's options into a model's rules for motion that a voice generated."""
    return FollowRules(
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
