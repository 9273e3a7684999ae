"""The official model: upstream's composition at full strength, and a strength for every part of the face."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from official_motion import driver, face, small_networks, source_picture, source_video
from official_reference import golden
from official_tiny import picture, tiny_official

from liveportrait.driving_rules import DrivingRules
from liveportrait.errors import LandmarksNeededError, PortraitError
from liveportrait.keypoints import euler_degrees, transform_keypoints
from liveportrait.motion import Crop, Motion, Portrait
from liveportrait.official_driving import drive_animal_expression, driving_keypoints, part_weights
from liveportrait.regions import OFFICIAL
from liveportrait.sliders import Sliders, edit

ALL = DrivingRules(
    head=1.0,
    lips=1.0,
    eyes=1.0,
    brows=1.0,
    face=1.0,
    relative=True,
    retarget_eyes=False,
    retarget_lips=False,
    replace=False,
    normalize_lips=False,
    friendly="expression",
    stitching=True,
)
NOTHING = replace(ALL, head=0.0, lips=0.0, eyes=0.0, brows=0.0, face=0.0)
UNSTITCHED = SimpleNamespace(
    stitching=lambda x_s, x_d: x_d,
    retarget_eyes=small_networks().retarget_eyes,
    retarget_lip=small_networks().retarget_lip,
)


def portrait(source=source_picture) -> Portrait:
    x_c, motion = source()
    nothing = torch.zeros(len(motion), 1)
    return Portrait(x_c, motion, transform_keypoints(x_c, motion), nothing, Crop(nothing))


@pytest.mark.parametrize(
    ("case", "asked"),
    [
        ("i2v/all.rel.pose.stitch", ALL),
        ("i2v/all.rel.expr.stitch", ALL),
        ("i2v/all.rel.pose.raw", replace(ALL, friendly="pose", stitching=False)),
        ("i2v/all.rel.expr.raw", replace(ALL, stitching=False)),
        ("i2v/all.abs.pose.raw", replace(ALL, relative=False, stitching=False)),
        ("i2v/all.abs.pose.stitch", replace(ALL, relative=False)),
        ("i2v/all.rel.pose.stitch.retE", replace(ALL, retarget_eyes=True, replace=True)),
        ("i2v/all.rel.pose.stitch.retL", replace(ALL, retarget_lips=True, replace=True)),
        ("i2v/all.rel.pose.stitch.retEL", replace(ALL, retarget_eyes=True, retarget_lips=True, replace=True)),
    ],
)
def test_full_strength_is_upstreams_region_all(case: str, asked: DrivingRules):
    x_d = driving_keypoints(small_networks(), portrait(), driver(), driver()[0], asked)
    assert golden().difference(f"motion/{case}/x_d", x_d) < 1e-5


def test_a_driving_picture_is_upstreams_too():
    x_d = driving_keypoints(small_networks(), portrait(), driver()[3], None, ALL)
    assert golden().difference("motion/i2i/all.rel.expr.stitch/x_d", x_d) < 1e-5


def test_an_animal_is_upstreams_too():
    x_d = drive_animal_expression(small_networks(), portrait(), driver(), driver()[0], ALL)
    assert golden().difference("motion/animal/stitch.x1/x_d", x_d) < 1e-5
    raw = drive_animal_expression(small_networks(), portrait(), driver(), driver()[0], replace(ALL, stitching=False))
    assert golden().difference("motion/animal/raw.x1/x_d", raw) < 1e-5


def spoken() -> tuple[Portrait, Motion]:
    """What the reference's voice moves, and the portrait."""
    data = golden("liveportrait_audio")
    x_c, source = face("compose/source", data)
    driving = Motion(*(data.output(f"compose/driving/{part}") for part in ("R", "exp", "scale", "t")))
    nothing = torch.zeros(1, 1)
    return Portrait(x_c, source, transform_keypoints(x_c, source), nothing, Crop(nothing)), driving


@pytest.mark.parametrize(
    ("case", "go"), [("human/all.pose.stitch", driving_keypoints), ("animal/stitch.x1", drive_animal_expression)]
)
def test_what_a_voice_moves_is_upstreams(case: str, go):
    source, driving = spoken()
    x_d = go(small_networks(), source, driving, driving[0], replace(ALL, spoken=True))
    assert golden("liveportrait_audio").difference(f"compose/{case}/x_d", x_d) < 1e-5


def test_a_voice_may_move_the_lips_alone():
    source, driving = spoken()
    x_d = driving_keypoints(UNSTITCHED, source, driving, driving[0], replace(NOTHING, lips=1.0, spoken=True))
    moved = (x_d - source.x_s).abs().amax((0, 2)) > 1e-6
    assert set(moved.nonzero().flatten().tolist()) == set(OFFICIAL.lips)


@pytest.mark.parametrize("relative", [True, False])
def test_without_strength_nothing_moves(relative: bool):
    asked = replace(NOTHING, relative=relative)
    x_d = driving_keypoints(UNSTITCHED, portrait(), driver(), driver()[0], asked)
    torch.testing.assert_close(x_d, portrait().x_s.expand(6, -1, -1), atol=1e-5, rtol=0)
    animal = drive_animal_expression(UNSTITCHED, portrait(), driver(), driver()[0], NOTHING)
    torch.testing.assert_close(animal, portrait().x_s.expand(6, -1, -1), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("part", "rows"), [("lips", OFFICIAL.lips), ("eyes", OFFICIAL.eyes), ("brows", (1, 2))])
def test_each_part_has_its_own_strength(part: str, rows: tuple[int, ...]):
    x_d = driving_keypoints(UNSTITCHED, portrait(), driver(), driver()[0], replace(NOTHING, **{part: 0.5}))
    moved = (x_d - portrait().x_s).abs().amax((0, 2)) > 1e-5
    assert set(moved.nonzero().flatten().tolist()) == set(rows)
    full = driving_keypoints(UNSTITCHED, portrait(), driver(), driver()[0], replace(NOTHING, **{part: 1.0}))
    torch.testing.assert_close(2 * (x_d - portrait().x_s), full - portrait().x_s, atol=1e-5, rtol=0)


def test_half_a_head_turn_is_half_the_angle():
    own = source_picture()[1]
    turned = replace(own, rotation=driver().rotation[:1])
    from liveportrait.official_driving import _driven_motion

    half = _driven_motion(own, turned, own, replace(ALL, head=0.5)).rotation @ own.rotation.transpose(1, 2)
    whole = turned.rotation @ own.rotation.transpose(1, 2)
    for part, total in zip(euler_degrees(half), euler_degrees(whole), strict=True):
        torch.testing.assert_close(2 * part, total, atol=1e-3, rtol=0)


def test_retargeting_that_adds_keeps_the_rest_of_the_motion():
    asked = replace(ALL, retarget_lips=True)
    x_d = driving_keypoints(UNSTITCHED, portrait(), driver(), driver()[0], asked)
    without_lips = driving_keypoints(UNSTITCHED, portrait(), driver(), driver()[0], replace(ALL, lips=0.0))
    source = portrait()
    lips = small_networks().retarget_lip(source.x_s, source.motion.lip_ratio, driver().lip_ratio)
    torch.testing.assert_close(x_d, without_lips + lips, atol=1e-5, rtol=0)


def test_eyes_that_reach_a_ratio_keep_their_gaze_to_the_side():
    weights = part_weights(replace(ALL, retarget_eyes=True), torch.zeros(1, 21, 3))
    assert weights[11].tolist() == [1.0, 0.0, 0.0]
    assert weights[19].tolist() == [1.0, 1.0, 1.0]


def test_open_lips_of_a_portrait_are_closed_first():
    closing = replace(ALL, normalize_lips=True)
    x_d = driving_keypoints(UNSTITCHED, portrait(), driver(), driver()[0], closing)
    source = portrait()
    ratio = source.motion.lip_ratio
    offset = small_networks().retarget_lip(source.x_s, ratio, torch.zeros_like(ratio))
    plain = driving_keypoints(UNSTITCHED, portrait(), driver(), driver()[0], ALL)
    torch.testing.assert_close(x_d, plain + offset, atol=1e-5, rtol=0)


def test_a_source_video_follows_frame_by_frame():
    video = portrait(source_video)
    together = driving_keypoints(small_networks(), video, driver(), driver()[0], ALL)
    for i in range(6):
        alone = driving_keypoints(small_networks(), video[i], driver()[i], driver()[0], ALL)
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-5, rtol=0)


def test_a_driver_without_ratios():
    blind = replace(driver(), eye_ratio=None, lip_ratio=None)
    driving_keypoints(small_networks(), portrait(), blind, blind[0], ALL)
    with pytest.raises(LandmarksNeededError):
        driving_keypoints(small_networks(), portrait(), blind, blind[0], replace(ALL, retarget_lips=True))


@pytest.mark.parametrize("needs_landmarks", [True, False])
def test_the_model_follows_and_is_edited(needs_landmarks: bool):
    model = tiny_official(needs_landmarks)
    source = model.encode(picture(landmarks=needs_landmarks))
    motion: Motion = model.extract(picture(3, landmarks=needs_landmarks, seed=1))
    for anchor in (motion[0], None):
        assert model.driving_keypoints(source, motion[1:], anchor, ALL).shape == (2, 21, 3)
    sliders = Sliders(smile=0.5, yaw_deg=5)
    x_d = model.edit(source, sliders)
    torch.testing.assert_close(x_d, edit(model, source.x_c, source.motion, sliders, stitching=True))
    if not needs_landmarks:
        with pytest.raises(PortraitError):
            model.edit(source, Sliders(lip_ratio=0.3))


def test_stitching_may_be_left_out():
    asked = replace(ALL, stitching=False)
    plain = driving_keypoints(small_networks(), portrait(), driver(), driver()[0], asked)
    torch.testing.assert_close(
        plain, driving_keypoints(UNSTITCHED, portrait(), driver(), driver()[0], ALL), atol=1e-6, rtol=0
    )
    animal = drive_animal_expression(small_networks(), portrait(), driver(), driver()[0], asked)
    expected = drive_animal_expression(UNSTITCHED, portrait(), driver(), driver()[0], ALL)
    torch.testing.assert_close(animal, expected, atol=1e-6, rtol=0)


def test_pose_friendly_animals_move_as_far_as_the_driver():
    source, asked = portrait(), replace(ALL, friendly="pose")
    pose = drive_animal_expression(UNSTITCHED, source, driver(), driver()[0], asked) - source.x_s
    expression = drive_animal_expression(UNSTITCHED, source, driver(), driver()[0], ALL) - source.x_s
    ratio = expression[1:].norm() / pose[1:].norm()  # one factor, from the faces' sizes, on all of the motion
    torch.testing.assert_close(expression, ratio * pose, atol=1e-5, rtol=0)
    assert pose.abs().max() > 0.01 and abs(float(ratio) - 1) > 1e-3
