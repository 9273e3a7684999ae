"""Edit a face with sliders: convert named sliders to keypoint offsets, and set a video's lips to a fixed ratio."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from liveportrait.keypoints import euler_degrees, rotation_matrix, transform_keypoints
from liveportrait.motion import Motion, Portrait
from liveportrait.regions import OFFICIAL
from liveportrait.retarget import Retargeter, needed_ratio
from liveportrait.smoothing import smooth
from liveportrait.streams import tee

# Useful range of each slider, as in upstream's web interface.
RANGES: dict[str, tuple[float, float]] = {
    "gaze_x": (-30, 30),
    "gaze_y": (-63, 63),
    "smile": (-0.3, 1.3),
    "wink": (0, 39),
    "eyebrow": (-30, 30),
    "pout": (-0.09, 0.09),
    "purse": (-20, 15),
    "grin": (0, 15),
    "mouth": (-90, 120),
    "move_x": (-0.19, 0.19),
    "move_y": (-0.19, 0.19),
    "zoom": (0.9, 1.2),
    "pitch_deg": (-15, 15),
    "yaw_deg": (-25, 25),
    "roll_deg": (-15, 15),
    "eye_ratio": (0, 0.8),
    "lip_ratio": (0, 0.8),
}


@dataclass(frozen=True)
class Sliders:
    """Slider values; the defaults change nothing.

    Attributes:
        gaze_x: Eyes to the right of the picture (upstream eyeball_direction_x).
        gaze_y: Eyes up (eyeball_direction_y).
        smile: Smile.
        wink: Shut the left eye.
        eyebrow: Raise the eyebrows, or knit them if negative.
        pout: Move the lower lip to one side (lip_variation_zero).
        purse: Purse the lips (lip_variation_one).
        grin: Grin (lip_variation_two).
        mouth: Close or open the mouth (lip_variation_three).
        move_x: Shift to the left of the picture, in half crops.
        move_y: Shift down.
        zoom: Factor on the head's scale.
        pitch_deg: Added to the head's pitch.
        yaw_deg: Added to the head's yaw.
        roll_deg: Added to the head's roll.
        eye_ratio: Target eye openness, or None to keep the eyes.
        lip_ratio: Target lip openness, or None to keep the lips.
    """

    gaze_x: float = 0.0
    gaze_y: float = 0.0
    smile: float = 0.0
    wink: float = 0.0
    eyebrow: float = 0.0
    pout: float = 0.0
    purse: float = 0.0
    grin: float = 0.0
    mouth: float = 0.0
    move_x: float = 0.0
    move_y: float = 0.0
    zoom: float = 1.0
    pitch_deg: float = 0.0
    yaw_deg: float = 0.0
    roll_deg: float = 0.0
    eye_ratio: float | None = None
    lip_ratio: float | None = None


# Expression change per unit of a slider: (keypoint row, axis, coefficient), for the official checkpoints.
Effect = tuple[tuple[int, str, float], ...]
_EFFECTS: dict[str, Effect] = {
    "gaze_y": ((11, "y", -0.0005), (15, "y", -0.0005), (13, "y", -0.00015), (16, "y", -0.00015)),
    "smile": (
        (20, "y", -0.01),
        (14, "y", -0.02),
        (17, "y", 0.0065),
        (17, "z", 0.003),
        (13, "y", -0.00275),
        (16, "y", -0.00275),
        (3, "y", -0.0035),
        (7, "y", -0.0035),
    ),
    "wink": ((11, "y", 0.001), (13, "y", -0.0003), (17, "x", 0.0003), (17, "y", 0.0003), (3, "y", -0.0003)),
    "pout": ((19, "x", 1.0),),
    "purse": ((14, "y", 0.001), (3, "y", -0.0005), (7, "y", -0.0005), (17, "z", -0.0005)),
    "grin": ((20, "z", -0.001), (20, "y", -0.001), (14, "y", -0.001)),
    "mouth": ((19, "y", 0.001), (19, "z", 0.0001), (17, "y", -0.0001)),
    "move_x": ((5, "x", -1.0),),
    "move_y": ((5, "y", 1.0),),
}
# Sliders with different effects by sign: (positive, zero or negative).
_TWO_SIDED: dict[str, tuple[Effect, Effect]] = {
    "gaze_x": (((11, "x", 0.0007), (15, "x", 0.001)), ((11, "x", 0.001), (15, "x", 0.0007))),
    "eyebrow": (
        ((1, "y", 0.001), (2, "y", -0.001)),
        ((1, "x", -0.001), (2, "x", 0.001), (1, "y", 0.0003), (2, "y", -0.0003)),
    ),
}


def expression_offset(sliders: Sliders, like: Tensor) -> Tensor:
    """Compute the expression offset of slider values.

    Args:
        sliders: Slider values.
        like: An expression of the official model, shape (1, 21, 3), for dtype and device.

    Returns:
        δ, shape (1, 21, 3).

    Source: upstream `src/gradio_pipeline.py`, the update_delta_new functions.
    """
    offset = torch.zeros_like(like[:1])
    effects = dict(_EFFECTS)
    for name, (positive, negative) in _TWO_SIDED.items():
        effects[name] = positive if getattr(sliders, name) > 0 else negative
    for name, effect in effects.items():
        for row, axis, coefficient in effect:
            offset[0, row, "xyz".index(axis)] += coefficient * getattr(sliders, name)
    return offset


def edit(model: Retargeter, x_c: Tensor, source: Motion, sliders: Sliders, stitching: bool) -> Tensor:
    """Apply sliders to one face.

    Args:
        model: S, R_eyes and R_lip.
        x_c: Canonical keypoints, shape (1, 21, 3).
        source: The face's own motion, one frame.
        sliders: Slider values.
        stitching: Whether to keep the crop's border still with S.

    Returns:
        x_d, shape (1, 21, 3).

    Raises:
        LandmarksNeededError: A target openness is set, but the source has no ratios.

    Source: upstream `src/gradio_pipeline.py`, execute_image_retargeting.
    """
    added = (sliders.pitch_deg, sliders.yaw_deg, sliders.roll_deg)
    angles = [own + more for own, more in zip(euler_degrees(source.rotation), added, strict=True)]
    expression = source.expression + expression_offset(sliders, source.expression)
    # As upstream, add the full translation, including depth, to x_d but not to x_s.
    shift = source.translation[:, None]
    x_s = transform_keypoints(x_c, source)
    x = sliders.zoom * source.scale[:, None] * (x_c @ rotation_matrix(*angles) + expression) + shift
    if sliders.eye_ratio is not None:
        own = needed_ratio(source.eye_ratio)
        if sliders.eye_ratio != shown_ratio(own):
            x = x + model.retarget_eyes(x_s, own, x.new_full((1, 1), sliders.eye_ratio))
    if sliders.lip_ratio is not None:
        own = needed_ratio(source.lip_ratio)
        if sliders.lip_ratio != shown_ratio(own):
            x = x + model.retarget_lip(x_s, own, x.new_full((1, 1), sliders.lip_ratio))
    return model.stitching(x_s, x) if stitching else x


def shown_ratio(ratio: Tensor) -> float:
    """Return the openness displayed on a slider: the mean over eyes, rounded to two decimals.

    A target equal to it changes nothing.
    """
    return round(float(ratio.mean()), 2)


LIP_VARIANCE = 3e-6
"""Observation variance by which upstream smooths the edited lips of a video."""


def edit_video_lips(
    model: Retargeter,
    portraits: Iterable[Portrait],
    lip_ratio: float,
    stitching: bool,
    observation_variance: float = LIP_VARIANCE,
) -> Iterator[Tensor]:
    """Set the lips of a video to a constant openness, with a short look-ahead.

    Args:
        model: S and R_lip.
        portraits: The video's portraits, frame by frame.
        lip_ratio: Target openness.
        stitching: Whether to keep the crop's border still with S.
        observation_variance: Smoothing of the lip offsets over time.

    Yields:
        x_d of each frame, shape (1, K, 3).

    Raises:
        LandmarksNeededError: A portrait has no lip ratio.

    Source: upstream `src/gradio_pipeline.py`, execute_video_retargeting.
    """
    ahead, portraits = tee(portraits)
    wanted = torch.tensor([[lip_ratio]], dtype=torch.float32)
    offsets = (model.retarget_lip(each.x_s, needed_ratio(each.motion.lip_ratio), wanted.to(each.x_s)) for each in ahead)
    for offset, portrait in zip(smooth(offsets, observation_variance), portraits, strict=True):
        x = portrait.x_s + offset
        yield model.stitching(portrait.x_s, x) if stitching else x


def silence(model: Retargeter, portrait: Portrait) -> Tensor:
    """Close the lips of a talking face and relax it; head and eyes keep moving.

    Args:
        model: S.
        portrait: One frame of a video, or T.

    Returns:
        x_d, shape (T, K, 3).

    Source: upstream `src/gradio_pipeline.py`, execute_video_lip_silence.
    """
    source = portrait.motion
    rest = OFFICIAL.closed_lips(source.expression)
    expression = OFFICIAL.pick("eyes", source.expression, rest)
    x = source.scale[:, None] * (portrait.x_c @ source.rotation + expression) + source.translation[:, None]
    return model.stitching(portrait.x_s, x)
