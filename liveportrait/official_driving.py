"""Drive the official model: upstream's composition, with a separate strength for each part of the face."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from liveportrait.compose import compose_animal, compose_audio_animal, relative_rotation
from liveportrait.driving_rules import DrivingRules
from liveportrait.errors import LandmarksNeededError
from liveportrait.keypoints import euler_degrees, rotation_matrix, transform_keypoints
from liveportrait.motion import Motion, Portrait
from liveportrait.regions import OFFICIAL, OFFICIAL_BROWS, Regions
from liveportrait.retarget import CLOSED_LIP_RATIO, Retargeter, rescale


def driving_keypoints(
    model: Retargeter, portrait: Portrait, driving: Motion, anchor: Motion | None, rules: DrivingRules
) -> Tensor:
    """Compute the driving keypoints of a human portrait.

    With all strengths at one this equals upstream's region "all" with stitching: relative or absolute, driven by a
    video (anchored to its first frame) or by a picture (without an anchor).

    Args:
        model: S, R_eyes and R_lip.
        portrait: One portrait, or T of them.
        driving: The driver's motion, T frames.
        anchor: The driver's neutral frame; None for a driving picture.
        rules: Which parts of the face follow the driver, and how.

    Returns:
        x_d, shape (T, K, 3).

    Raises:
        LandmarksNeededError: Lips or eyes are retargeted, and the portrait or the driver has no ratios.
    """
    x_s = portrait.x_s
    if rules.replace and (rules.retarget_eyes or rules.retarget_lips):
        x = x_s.expand(len(driving), -1, -1)
    else:
        x = transform_keypoints(portrait.x_c, _driven_motion(portrait.motion, driving, anchor, rules))
    # Upstream's expression-friendly rescaling has no effect here: relative to the anchor the keypoints start at x_s,
    # so both faces that it compares have the same size.
    x = x + _retargeting_offsets(model, portrait, driving, rules)
    return model.stitching(x_s, x) if rules.stitching else x


def drive_animal_expression(
    model: Retargeter, portrait: Portrait, driving: Motion, anchor: Motion, rules: DrivingRules
) -> Tensor:
    """Compute the driving keypoints of an animal portrait; shapes as in `driving_keypoints`.

    Upstream uses the driver's absolute pose (for speech: the portrait's pose with the driver's relative rotation), then
    makes the keypoints relative to the first frame and rescales them to the size of the portrait's face. With
    `friendly="pose"` they are not rescaled.
    """
    weights = part_weights(rules, driving.expression)
    expression = anchor.expression + weights * (driving.expression - anchor.expression)
    rotation = _scale_rotation(driving.rotation @ anchor.rotation.transpose(1, 2), rules.head) @ anchor.rotation
    translation = anchor.translation + rules.head * (driving.translation - anchor.translation)
    target = replace(driving, rotation=rotation, expression=expression, translation=translation)
    if rules.spoken:
        composed = compose_audio_animal(portrait.motion, Motion.cat([anchor, target]))
        first, composed = composed[0], composed[1:]
    else:
        first, composed = (compose_animal(portrait.motion, motion) for motion in (anchor, target))
    x_first, x = (transform_keypoints(portrait.x_c, motion) for motion in (first, composed))
    x = rescale(portrait.x_s, x, x_first) if rules.friendly == "expression" else portrait.x_s + x - x_first
    return model.stitching(portrait.x_s, x) if rules.stitching else x


def part_weights(rules: DrivingRules, like: Tensor, regions: Regions = OFFICIAL) -> Tensor:
    """Return the strength for each coordinate of the expression, shape (K, 3)."""
    weights = like.new_full((regions.num_keypoints, 3), rules.face)
    weights[list(OFFICIAL_BROWS)] = rules.brows
    weights[list(regions.eyes)] = rules.eyes
    weights[list(regions.lips)] = rules.lips
    if rules.retarget_lips:
        weights[list(regions.lips)] = 0.0
    if rules.retarget_eyes:
        # R_eyes handles the vertical motion of the eyelids; horizontal gaze is kept.
        weights[list(regions.eyes), 1:] = 0.0
    return weights


def _driven_motion(source: Motion, driving: Motion, anchor: Motion | None, rules: DrivingRules) -> Motion:
    weights = part_weights(rules, driving.expression)
    if not rules.relative:
        change = weights * (driving.expression - source.expression)
        still = torch.zeros_like(source.expression)
        turn = driving.rotation @ source.rotation.transpose(1, 2)
        shift, zoom = driving.translation - source.translation, torch.ones_like(driving.scale)
        change = OFFICIAL.pick("face", change, still)
    elif anchor is None:
        # A single picture has no anchor: measure lips against closed ones, and keep the head pose.
        change = weights * (driving.expression - OFFICIAL.closed_lips(driving.expression))
        turn = torch.eye(3).to(driving.rotation).expand(len(driving), 3, 3)
        shift, zoom = torch.zeros_like(driving.translation), torch.ones_like(driving.scale)
    else:
        change = weights * (driving.expression - anchor.expression)
        if rules.spoken:
            lips = weights * (driving.expression - source.expression)
            change = OFFICIAL.pick("lips", lips, change)
        turn = relative_rotation(torch.eye(3).to(driving.rotation), driving.rotation, anchor.rotation)
        shift, zoom = driving.translation - anchor.translation, driving.scale / anchor.scale
    return Motion(
        rotation=_scale_rotation(turn, rules.head) @ source.rotation,
        expression=source.expression + change,
        scale=source.scale * zoom**rules.head,
        translation=source.translation + rules.head * shift,
    )


def _scale_rotation(turn: Tensor, strength: float) -> Tensor:
    """Scale the angles of rotations by a factor."""
    if strength == 1:
        return turn
    return rotation_matrix(*(strength * angle for angle in euler_degrees(turn)))


def _retargeting_offsets(model: Retargeter, portrait: Portrait, driving: Motion, rules: DrivingRules) -> Tensor:
    """Return the offsets of R_eyes and R_lip, shape (T or 1, K, 3)."""
    x_s, source = portrait.x_s, portrait.motion
    offset = torch.zeros_like(x_s)
    if rules.retarget_eyes and rules.eyes:
        own = _ratio(source.eye_ratio)
        # Both eyes follow the driver's left one, as upstream does.
        left, wanted = own[:, :1], _ratio(driving.eye_ratio)[:, :1]
        offset = offset + model.retarget_eyes(x_s, own, left + rules.eyes * (wanted - left))
    if rules.retarget_lips and rules.lips:
        own, wanted = _ratio(source.lip_ratio), _ratio(driving.lip_ratio)
        offset = offset + model.retarget_lip(x_s, own, own + rules.lips * (wanted - own))
    elif rules.normalize_lips and rules.relative and rules.lips and source.lip_ratio is not None:
        closing = model.retarget_lip(x_s, source.lip_ratio, torch.zeros_like(source.lip_ratio))
        offset = offset + closing * (source.lip_ratio >= CLOSED_LIP_RATIO)[..., None]
    return offset


def _ratio(value: Tensor | None) -> Tensor:
    if value is None:
        raise LandmarksNeededError("lips and eyes reach a ratio only where landmarks show it; animals have none")
    return value
