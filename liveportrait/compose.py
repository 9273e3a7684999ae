"""Compose a source's own motion with a driver's, as upstream does, with a strength for each part of the face."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from liveportrait.driving_rules import DrivingRules, scaled_turn
from liveportrait.keypoints import relative_rotation
from liveportrait.motion import Motion
from liveportrait.regions import OFFICIAL, OFFICIAL_BROWS
from liveportrait.smoothing import smooth
from liveportrait.streams import tee


def compose_picture(source: Motion, driving: Motion, anchor: Motion | None, rules: DrivingRules) -> Motion:
    """Compose the motion of a source picture.

    Args:
        source: The source's own motion, one frame.
        driving: The driver's motion, T frames.
        anchor: The driver's frame that relative motion is measured from; None for a driving picture.
        rules: Which parts of the face follow the driver, and how.

    Returns:
        T frames of motion for the source's canonical keypoints.

    Source: LivePortrait Eq. 6; upstream `src/live_portrait_pipeline.py`, execute; for speech, JoyVASA
    `src/live_portrait_wmg_pipeline.py`.
    """
    weights = part_weights(rules, driving.expression)
    shift, zoom = torch.zeros_like(driving.translation), torch.ones_like(driving.scale)
    if rules.relative or rules.spoken:
        rest = _rest(driving, anchor)
        if anchor is None and not (rules.lips or rules.brows or rules.face):
            rest = torch.zeros_like(rest)  # As upstream, eyes that move alone are not measured against closed lips.
        change = weights * (driving.expression - rest)
        if anchor is not None:
            shift, zoom = driving.translation - anchor.translation, driving.scale / anchor.scale
    else:
        shift = driving.translation - source.translation
        still = torch.zeros_like(source.expression)
        change = OFFICIAL.pick("face", weights * (driving.expression - source.expression), still)
    if rules.spoken:
        # Lips take the absolute expression that was generated, not its change.
        change = OFFICIAL.pick("lips", weights * (driving.expression - source.expression), change)
    return Motion(
        rotation=_turn(source, driving, anchor, rules) @ source.rotation,
        expression=source.expression + change,
        scale=source.scale * zoom**rules.size,
        translation=source.translation + rules.head * shift,
    )


def compose_video(
    sources: Iterable[Motion], drivings: Iterable[Motion], anchor: Motion | None, rules: DrivingRules
) -> Iterator[Motion]:
    """Compose the motion of a source video, frame by frame, with a short look-ahead.

    As upstream, less of a video moves than of a picture: its scale is kept, relative motion keeps its translation too,
    a driving picture leaves its head as it is, and rotation and expression are smoothed if the driver is a video.

    Args:
        sources: The source's own motion, frame by frame.
        drivings: The driver's motion, frame by frame.
        anchor: As in `compose_picture`.
        rules: As in `compose_picture`.

    Yields:
        The motion of each frame.

    Source: upstream `src/live_portrait_pipeline.py`, execute.
    """
    sources, kept = tee(sources)
    composed = (
        _video_frame(source, driving, anchor, rules) for source, driving in zip(sources, drivings, strict=False)
    )
    if anchor is not None and rules.observation_variance:
        composed = _smoothed(composed, rules.observation_variance)
    for motion, source in zip(composed, kept, strict=False):
        moving = part_weights(rules, motion.expression) != 0
        moving = OFFICIAL.pick("face", moving, torch.zeros_like(moving))
        yield replace(
            motion,
            rotation=motion.rotation if rules.head else source.rotation,
            expression=torch.where(moving, motion.expression, source.expression),
        )


def _video_frame(source: Motion, driving: Motion, anchor: Motion | None, rules: DrivingRules) -> Motion:
    rest = _rest(driving, anchor) if rules.relative else source.expression
    shift = torch.zeros_like(source.translation) if rules.relative else driving.translation - source.translation
    return Motion(
        rotation=_turn(source, driving, anchor, rules) @ source.rotation,
        expression=source.expression + part_weights(rules, driving.expression) * (driving.expression - rest),
        scale=source.scale,
        translation=source.translation + rules.head * shift,
    )


def _smoothed(composed: Iterable[Motion], observation_variance: float) -> Iterator[Motion]:
    composed, kept = tee(composed)
    values = (torch.cat([motion.rotation.flatten(), motion.expression.flatten()]) for motion in composed)
    for smoothed, motion in zip(smooth(values, observation_variance), kept, strict=True):
        # As upstream, the nine entries of the rotation are not made orthonormal again.
        rotation, expression = smoothed[:9].view(1, 3, 3), smoothed[9:].view_as(motion.expression)
        yield replace(motion, rotation=rotation, expression=expression)


def compose_animal(source: Motion, driving: Motion, anchor: Motion, rules: DrivingRules) -> Motion:
    """Compose motions for the animal model: the driver's head and expression at the source's scale.

    The result is absolute; the keypoints are made relative to the anchor's afterwards. Motion from speech is relative
    to the source's own pose.

    Args:
        source: Motion of a source picture.
        driving: The driver's motion, T frames.
        anchor: The driver's frame that motion is measured from.
        rules: Which parts of the face follow the driver, and how.

    Returns:
        T frames of motion.

    Source: upstream `src/live_portrait_pipeline_animal.py`; JoyVASA `src/live_portrait_wmg_pipeline_animal.py`.
    """
    turn = scaled_turn(driving.rotation @ anchor.rotation.transpose(1, 2), rules.head)
    change = part_weights(rules, driving.expression) * (driving.expression - anchor.expression)
    start = source if rules.spoken else anchor
    return Motion(
        rotation=turn @ start.rotation,
        expression=start.expression + change,
        scale=source.scale.expand(len(driving), -1),
        translation=start.translation + rules.head * (driving.translation - anchor.translation),
    )


def part_weights(rules: DrivingRules, like: Tensor) -> Tensor:
    """Return the strength for each coordinate of the expression, shape (21, 3)."""
    weights = like.new_full((OFFICIAL.num_keypoints, 3), rules.face)
    weights[list(OFFICIAL_BROWS)] = rules.brows
    weights[list(OFFICIAL.eyes)] = rules.eyes
    weights[list(OFFICIAL.lips)] = rules.lips
    if rules.retarget_lips and not rules.replace:
        weights[list(OFFICIAL.lips)] = 0.0
    if rules.retarget_eyes and not rules.replace:
        # R_eyes handles the vertical motion of the eyelids; horizontal gaze is kept.
        weights[list(OFFICIAL.eyes), 1:] = 0.0
    return weights


def _rest(driving: Motion, anchor: Motion | None) -> Tensor:
    """Return the expression that relative motion is measured from: for a driving picture closed lips; (1, 21, 3)."""
    return OFFICIAL.closed_lips(driving.expression) if anchor is None else anchor.expression


def _turn(source: Motion, driving: Motion, anchor: Motion | None, rules: DrivingRules) -> Tensor:
    """Return the rotation that is applied to the source's own, shape (T, 3, 3)."""
    if not (rules.relative or rules.spoken):
        return scaled_turn(driving.rotation @ source.rotation.transpose(1, 2), rules.head)
    unturned = torch.eye(3).to(driving.rotation)
    if anchor is None:
        return unturned.expand(len(driving), 3, 3)
    return scaled_turn(relative_rotation(unturned, driving.rotation, anchor.rotation), rules.head)
