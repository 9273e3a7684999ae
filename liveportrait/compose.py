"""Compose a source's own motion with a driving motion: regions, relative or absolute, smoothed for a source video."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

from liveportrait.motion import Motion
from liveportrait.regions import Region, Regions
from liveportrait.smoothing import smooth

Friendly = Literal["expression", "pose"]


@dataclass(frozen=True)
class MotionRules:
    """How driving motion is transferred to a source. Defaults are defined in the command-line options.

    Attributes:
        region: The part of the face that moves.
        relative: Whether to apply the driver's change since its first frame instead of its absolute motion.
        friendly: "expression" scales relative motion to the source's size, "pose" keeps its amplitude.
        stitching: Whether to keep the crop's border still with S.
        normalize_lips: Whether to close open source lips first (relative motion only).
        retarget_eyes: Whether the eyes follow the driver's openness ratio instead of its motion.
        retarget_lips: The same for the lips.
        open_source_eyes: Whether to keep a source video's eyes at a constant openness.
        strength: Factor on the keypoints' displacement from the source.
        observation_variance: Smoothing of a source video's motion.
    """

    region: Region
    relative: bool
    friendly: Friendly
    stitching: bool
    normalize_lips: bool
    retarget_eyes: bool
    retarget_lips: bool
    open_source_eyes: bool
    strength: float
    observation_variance: float


def compose(source: Motion, driving: Motion, rules: MotionRules, regions: Regions) -> Motion:
    """Compose motions for the human model.

    A single frame is treated as a picture, several as a video. With two videos, the result has the length of the
    shorter one; a driving picture applies to all source frames.

    Args:
        source: The source's own motion.
        driving: The driver's motion; relative motion is measured from its first frame.
        rules: Composition settings.
        regions: Keypoint sets of the model.

    Returns:
        Motion for the source's canonical keypoints, with the driver's openness ratios.

    Source: LivePortrait Eq. 6; upstream `src/live_portrait_pipeline.py`, execute.
    """
    first = driving[0]
    if len(source) > 1 and len(driving) > 1:
        frames = min(len(source), len(driving))
        source, driving = source[:frames], driving[:frames]
    num_frames = max(len(source), len(driving))
    if len(source) > 1:
        composed = _onto_video(source, driving, first, rules, regions)
    else:
        composed = _onto_image(source, driving, first, rules, regions)
    return _of_length(replace(composed, eye_ratio=driving.eye_ratio, lip_ratio=driving.lip_ratio), num_frames)


def _onto_image(source: Motion, driving: Motion, first: Motion, rules: MotionRules, regions: Regions) -> Motion:
    moves_head = rules.region in ("all", "pose")
    rotation, scale, translation = source.rotation, source.scale, source.translation
    if moves_head and rules.relative:
        rotation = relative_rotation(source.rotation, driving.rotation, first.rotation)
        translation = source.translation + driving.translation - first.translation
    elif moves_head:
        rotation, translation = driving.rotation, driving.translation
    if rules.relative and rules.region == "all":
        scale = source.scale * driving.scale / first.scale
    expression = _image_expression(source.expression, driving.expression, first.expression, rules, regions)
    return Motion(rotation, expression, scale, translation)


def _image_expression(e_s: Tensor, e_d: Tensor, e_0: Tensor, rules: MotionRules, regions: Regions) -> Tensor:
    if rules.region == "pose":
        return e_s
    whole = rules.region in ("all", "exp")
    if not rules.relative:
        return regions.pick("face" if whole else _part(rules.region), e_d, e_s)
    if len(e_d) > 1:
        change = e_d - e_0
    # A driving picture has no reference frame: use closed lips instead, but not for the eyes.
    elif rules.region == "eyes":
        change = e_d
    else:
        change = e_d - regions.closed_lips(e_d)
    moved = e_s + change
    return moved if whole else regions.pick(_part(rules.region), moved, e_s)


def _onto_video(source: Motion, driving: Motion, first: Motion, rules: MotionRules, regions: Regions) -> Motion:
    # As upstream, a source video is treated differently from a picture: its scale is kept, relative motion keeps its
    # translation, absolute translation is not smoothed, and relative motion of a driving picture keeps its head pose.
    rotation, translation = source.rotation, source.translation
    if rules.region in ("all", "pose"):
        if not rules.relative:
            rotation, translation = driving.rotation, driving.translation
        elif len(driving) > 1:
            rotation = relative_rotation(source.rotation, driving.rotation, first.rotation)
        if len(driving) > 1:
            # As upstream, smooth the nine matrix entries without orthonormalising the result.
            rotation = smooth(rotation, rules.observation_variance)
    expression = source.expression
    if rules.region != "pose":
        target = _video_expression(source.expression, driving.expression, first.expression, rules, regions)
        part = "face" if rules.region in ("all", "exp") else _part(rules.region)
        expression = regions.pick(part, target, source.expression)
    return Motion(rotation, expression, source.scale, translation)


def _video_expression(e_s: Tensor, e_d: Tensor, e_0: Tensor, rules: MotionRules, regions: Regions) -> Tensor:
    if len(e_d) == 1:
        return e_s + e_d - regions.closed_lips(e_d) if rules.relative else e_d
    return smooth(e_s + e_d - e_0 if rules.relative else e_d, rules.observation_variance)


def compose_animal(source: Motion, driving: Motion) -> Motion:
    """Compose motions for the animal model: the driver's head and expression at the source's scale.

    The result is absolute; `retarget` makes it relative to the first frame afterwards.

    Args:
        source: Motion of a source picture.
        driving: Motion of a driving video, T frames.

    Returns:
        T frames of motion.

    Source: upstream `src/live_portrait_pipeline_animal.py`.
    """
    return replace(driving, scale=source.scale.expand(len(driving), -1))


def compose_audio(source: Motion, driving: Motion, region: Region, regions: Regions) -> Motion:
    """Compose speech-generated motion with a human source picture.

    Args:
        source: Motion of the source picture.
        driving: Generated motion, T frames; relative motion is measured from its first frame.
        region: The part of the face that moves; "eyes" keeps the source's expression.
        regions: Keypoint sets of the model.

    Returns:
        T frames of motion. Scale and translation follow the driver for every region.

    Source: JoyVASA `src/live_portrait_wmg_pipeline.py`.
    """
    first = driving[0]
    moved = source.expression + driving.expression - first.expression
    expression = source.expression
    if region in ("all", "exp"):
        # Lips use the absolute generated expression, not its change.
        expression = regions.pick("lips", driving.expression, moved)
    elif region == "lip":
        expression = regions.pick("lips", moved, source.expression)
    rotation = source.rotation
    if region in ("all", "pose"):
        rotation = relative_rotation(source.rotation, driving.rotation, first.rotation)
    return _audio_motion(source, driving, rotation, expression, source.scale * driving.scale / first.scale)


def compose_audio_animal(source: Motion, driving: Motion) -> Motion:
    """Compose speech-generated motion with an animal source picture; returns T frames at the source's scale.

    Source: JoyVASA `src/live_portrait_wmg_pipeline_animal.py`.
    """
    first = driving[0]
    rotation = relative_rotation(source.rotation, driving.rotation, first.rotation)
    expression = source.expression + driving.expression - first.expression
    return _audio_motion(source, driving, rotation, expression, source.scale)


def _audio_motion(source: Motion, driving: Motion, rotation: Tensor, expression: Tensor, scale: Tensor) -> Motion:
    translation = source.translation + driving.translation - driving.translation[:1]
    motion = Motion(rotation, expression, scale, translation, driving.eye_ratio, driving.lip_ratio)
    return _of_length(motion, len(driving))


def relative_rotation(source: Tensor, driving: Tensor, first: Tensor) -> Tensor:
    """Apply the driver's rotation since its first frame to the source: (R_d R_d0ᵀ) R_s, each (T or 1, 3, 3)."""
    return driving @ first.transpose(1, 2) @ source


def _part(region: Region) -> Literal["lips", "eyes"]:
    return "lips" if region == "lip" else "eyes"


def _of_length(motion: Motion, num_frames: int) -> Motion:
    """Expand single-frame tensors to num_frames."""

    def repeat(value: Tensor) -> Tensor:
        return value.expand(num_frames, *value.shape[1:])

    return motion._map(repeat)
