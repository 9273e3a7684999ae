"""Editing by sliders, and lip editing of a video."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from official_motion import encoded, small_networks, source_picture, source_video
from official_reference import golden

from liveportrait.keypoints import transform_keypoints
from liveportrait.sliders import RANGES, Sliders, edit, edit_video_lips, expression_offset, shown_ratio, silence

LIMIT = 1e-5
NAMES = {
    "input_eye_ratio": "eye_ratio",
    "input_lip_ratio": "lip_ratio",
    "input_head_pitch_variation": "pitch_deg",
    "input_head_yaw_variation": "yaw_deg",
    "input_head_roll_variation": "roll_deg",
    "mov_x": "move_x",
    "mov_y": "move_y",
    "mov_z": "zoom",
    "lip_variation_zero": "pout",
    "lip_variation_one": "purse",
    "lip_variation_two": "grin",
    "lip_variation_three": "mouth",
    "smile": "smile",
    "wink": "wink",
    "eyebrow": "eyebrow",
    "eyeball_direction_x": "gaze_x",
    "eyeball_direction_y": "gaze_y",
}


def cases(pipeline: str) -> list[str]:
    return [name for name, case in golden().cases.items() if case["pipeline"] == pipeline]


@pytest.mark.parametrize("name", [name for name in golden().index["outputs"] if name.startswith("slider/")])
def test_single_sliders(name: str):
    _, slider, values = name.split("/")
    numbers = [float(value) for value in values.split(",")]
    if slider == "eyeball_direction":
        sliders = Sliders(gaze_x=numbers[0], gaze_y=numbers[1])
    else:
        # The reference's table gives shifts to the left as positive values of its inner function.
        sign = -1 if slider == "mov_x" else 1
        sliders = Sliders(**{NAMES[slider]: sign * numbers[0]})
    assert golden().difference(name, expression_offset(sliders, torch.zeros(1, 21, 3))) < 1e-7


@pytest.mark.parametrize("name", cases("image retargeting"))
def test_picture_edits(name: str):
    options = dict(golden().cases[name]["options"])
    stitching = options.pop("flag_stitching")
    sliders = Sliders(**{NAMES[option]: value for option, value in options.items()})
    x_c, source = source_picture()
    assert golden().difference(f"{name}/x_d", edit(small_networks(), x_c, source, sliders, stitching)) < LIMIT
    assert golden().difference("retarget/image/x_s", transform_keypoints(x_c, source)) < LIMIT


@pytest.mark.parametrize("name", cases("video lip retargeting"))
def test_video_lip_edits(name: str):
    options = golden().cases[name]["options"]
    video = encoded(*source_video())
    variance = options["driving_smooth_observation_variance"]
    frames = edit_video_lips(small_networks(), (video[n] for n in range(6)), options["input_lip_ratio"], True, variance)
    x_d = torch.cat(list(frames))
    assert golden().difference(f"{name}/x_s", video.x_s) < LIMIT
    assert golden().difference(f"{name}/x_d", x_d) < LIMIT


def test_silenced_video():
    x_d = silence(small_networks(), encoded(*source_video()))
    assert golden().difference("retarget/video/silence/x_d", x_d) < LIMIT


def test_shown_ratios():
    _, source = source_picture()
    shown = [shown_ratio(source.eye_ratio), shown_ratio(source.lip_ratio)]
    assert golden().output("retarget/init_ratios").tolist() == shown


def test_untouched_sliders_change_nothing():
    x_c, source = source_picture()
    flat = replace(source, translation=source.translation * torch.tensor([1.0, 1.0, 0.0]))
    torch.testing.assert_close(
        edit(small_networks(), x_c, flat, Sliders(), stitching=False),
        transform_keypoints(x_c, flat),
        atol=1e-6,
        rtol=0,
    )


def test_every_slider_has_a_range_that_holds_its_neutral_value():
    for field in fields(Sliders):
        low, high = RANGES[field.name]
        assert low < high
        if field.default is not None:
            assert low <= field.default <= high
    assert set(RANGES) == {field.name for field in fields(Sliders)}


def test_openness_needs_landmarks():
    x_c, source = source_picture()
    blind = replace(source, eye_ratio=None, lip_ratio=None)
    with pytest.raises(ValueError, match="without landmarks"):
        edit(small_networks(), x_c, blind, Sliders(lip_ratio=0.3), stitching=False)
    with pytest.raises(ValueError, match="without landmarks"):
        list(edit_video_lips(small_networks(), [encoded(x_c, blind)], 0.3, True))
