"""Drive the official models: upstream's composition with named options, for pictures, videos and animals.

With all strengths at one or zero, the anchor at the driver's first frame and `replace` where eyes or lips are
retargeted, the keypoints equal upstream's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import Tensor

from liveportrait.compose import compose_animal, compose_picture, compose_video
from liveportrait.driving_rules import DrivingRules
from liveportrait.keypoints import transform_keypoints
from liveportrait.motion import Motion, Portrait
from liveportrait.retarget import Retargeter, eye_ratio_to_keep, finish_keypoints, needed_ratio, rescale
from liveportrait.streams import tee


def drive_picture(
    model: Retargeter, portrait: Portrait, driving: Motion, anchor: Motion | None, rules: DrivingRules
) -> Tensor:
    """Compute the driving keypoints of a human portrait.

    Args:
        model: S, R_eyes and R_lip.
        portrait: One portrait.
        driving: The driver's motion, T frames.
        anchor: The driver's neutral frame; None for a driving picture.
        rules: Which parts of the face follow the driver, and how.

    Returns:
        x_d, shape (T, K, 3).

    Raises:
        LandmarksNeededError: Lips or eyes are retargeted, and the portrait or the driver has no ratios.
    """
    x = _composed(portrait, driving, anchor, rules)
    if rules.spoken and anchor is not None and rules.relative and rules.friendly == "expression":
        # Only absolute lips make a difference: all other motion begins at x_s, so both faces have the same size.
        x = rescale(portrait.x_s, x, _composed(portrait, anchor, anchor, rules))
    return finish_keypoints(model, portrait, x, driving, rules)


def _composed(portrait: Portrait, driving: Motion, anchor: Motion | None, rules: DrivingRules) -> Tensor:
    return transform_keypoints(portrait.x_c, compose_picture(portrait.motion, driving, anchor, rules))


def drive_video(
    model: Retargeter, frames: Iterable[tuple[Portrait, Motion]], anchor: Motion | None, rules: DrivingRules
) -> Iterator[Tensor]:
    """Compute the driving keypoints of a source video with a short look-ahead.

    Args:
        model: S, R_eyes and R_lip.
        frames: Each frame's portrait and driving motion, both of one frame.
        anchor: As in `drive_picture`.
        rules: As in `drive_picture`.

    Yields:
        x_d of each frame, shape (1, K, 3).

    Raises:
        LandmarksNeededError: As in `drive_picture`.
    """
    ahead, frames = tee(frames)
    sources, drivings = tee(ahead)
    composed = compose_video((pair[0].motion for pair in sources), (pair[1] for pair in drivings), anchor, rules)
    kept_eyes: Tensor | None = None
    for motion, (portrait, driving) in zip(composed, frames, strict=True):
        if rules.open_eyes and kept_eyes is None:
            kept_eyes = eye_ratio_to_keep(needed_ratio(portrait.motion.eye_ratio))
        x = transform_keypoints(portrait.x_c, motion)
        yield finish_keypoints(model, portrait, x, driving, rules, kept_eyes)


def drive_animal(model: Retargeter, portrait: Portrait, driving: Motion, anchor: Motion, rules: DrivingRules) -> Tensor:
    """Compute the driving keypoints of an animal portrait; shapes as in `drive_picture`.

    Upstream uses the driver's absolute pose (for speech: the portrait's pose with the driver's relative rotation), then
    makes the keypoints relative to the first frame and rescales them to the size of the portrait's face. With
    `friendly="pose"` they are not rescaled.
    """
    x_s = portrait.x_s
    x_first, x = (
        transform_keypoints(portrait.x_c, compose_animal(portrait.motion, motion, anchor, rules))
        for motion in (anchor, driving)
    )
    x = rescale(x_s, x, x_first) if rules.friendly == "expression" else x_s + x - x_first
    x = model.stitching(x_s, x) if rules.stitching else x
    return x_s + (x - x_s) * rules.strength
