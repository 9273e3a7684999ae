"""Generate the motion of a face that says nothing, as a loop if asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from audio2motion import FRAME_RATE
from talkinghead.driver.resample import Timed, blend, join
from talkinghead.driver.speech import generate_motion
from talkinghead.media.audio import MODEL_RATE
from talkinghead.models import Models
from talkinghead.options import IdleOptions, MotionOptions
from talkinghead.render import ToKeypoints

FADE_SECONDS = 1.5
"""How long the end of a loop takes to become its beginning."""


def idle_motion(models: Models, motion: MotionOptions, options: IdleOptions) -> tuple[Iterator[Any], ToKeypoints[Any]]:
    """Generate idle motion: what a voice model makes of silence.

    Args:
        models: The loaded networks.
        motion: How the portrait moves.
        options: How long.

    Returns:
        Parts of the motion at 25 fps, and a function that turns them into keypoints.
    """
    count = math.ceil(options.seconds * FRAME_RATE)
    fade = min(round(FADE_SECONDS * FRAME_RATE), count // 2) if options.loop else 0
    parts, to_keypoints = generate_motion(models, _silence(count + fade), motion)
    return iter([looped(join(list(parts)), fade)] if fade else parts), to_keypoints


def looped(frames: Timed, fade: int) -> Timed:
    """Make motion a loop: its end is faded into what comes before its beginning.

    Args:
        frames: The motion; its first `fade` frames are only seen in the fade.
        fade: The number of frames that are faded, at most half of all.

    Returns:
        The motion without its first `fade` frames.
    """
    shares = (torch.arange(fade, dtype=torch.float32) + 1) / (fade + 1)
    end = blend(frames[-fade:], frames[:fade], shares * shares * (3 - 2 * shares))
    return join([frames[fade:-fade], end])


def _silence(num_frames: int) -> Iterator[Tensor]:
    for _ in range(num_frames):
        yield torch.zeros(MODEL_RATE // FRAME_RATE, dtype=torch.float32)
