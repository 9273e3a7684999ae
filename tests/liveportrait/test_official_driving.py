"""The official models' engine: all of the reference's cases, and the options that upstream does not have."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from official_motion import (
    driver,
    encoded,
    face,
    measured,
    official_with_small_networks,
    rules,
    small_networks,
    source_picture,
    source_video,
)
from official_reference import golden
from official_tiny import picture, tiny_official

from liveportrait.compose import compose_picture, part_weights
from liveportrait.driving_rules import DrivingRules
from liveportrait.errors import LandmarksNeededError, PortraitError
from liveportrait.keypoints import euler_degrees, relative_rotation, rotation_matrix
from liveportrait.motion import Motion, Portrait
from liveportrait.official_driving import drive_animal, drive_picture, drive_video
from liveportrait.regions import OFFICIAL
from liveportrait.sliders import Sliders, edit

LIMIT = 1e-5
ALL = DrivingRules(
    head=1.0,
    size=1.0,
    lips=1.0,
    eyes=1.0,
    brows=1.0,
    face=1.0,
    strength=1.0,
    relative=True,
    retarget_eyes=False,
    retarget_lips=False,
    replace=False,
    normalize_lips=False,
    open_eyes=False,
    friendly="expression",
    stitching=True,
    observation_variance=3e-7,
)
NOTHING = replace(ALL, head=0.0, size=0.0, lips=0.0, eyes=0.0, brows=0.0, face=0.0)
UNSTITCHED = SimpleNamespace(
    stitching=lambda x_s, x_d: x_d,
    retarget_eyes=small_networks().retarget_eyes,
    retarget_lip=small_networks().retarget_lip,
)


def names(data, pipeline: str) -> list[str]:
    return [name for name, case in data.cases.items() if case.get("pipeline") == pipeline]


def portrait(source=source_picture, landmarks: str = "open") -> Portrait:
    return encoded(*source(landmarks))


def drive_frames(model, video: Portrait, driving: Motion, anchor: Motion | None, asked: DrivingRules) -> torch.Tensor:
    """Drive a video frame by frame; a driving picture serves all frames, else the shorter one ends the result."""
    pictures = len(driving) == 1
    frames = ((video[i], driving[0 if pictures else i]) for i in range(len(video) if pictures else len(driving)))
    return torch.cat(list(model(frames, anchor, asked)))


@pytest.mark.parametrize("name", names(golden(), "human"))
def test_human_cases_through_the_model(name: str):
    """Every combination of source, driver, region and option that the reference recorded."""
    case, model = golden().cases[name], official_with_small_networks()
    driving = driver()
    if "alone" in case["driving"]:
        driving = driving[3]
    elif case["driving"] == "first 4 frames":
        driving = driving[:4]
    anchor = driving[0] if len(driving) > 1 else None
    asked = rules(case["options"])
    if case["source"] == "image":
        source = portrait(source_picture, case["source_lmk"])
        x_d = model.driving_keypoints(source, driving, anchor, asked)
    else:
        source = portrait(source_video, case["source_lmk"])[: case["source_frames"]]
        driving = driving if anchor is None else driving[: len(source)]
        x_d = drive_frames(model.video_keypoints, source, driving, anchor, asked)
    assert len(x_d) == case["n_out"]
    assert golden().difference(f"{name}/x_d", x_d) < LIMIT


@pytest.mark.parametrize("name", names(golden(), "animal"))
def test_animal_cases_through_the_model(name: str):
    model = official_with_small_networks(needs_landmarks=False)
    options = {"animation_region": "all", "flag_relative_motion": True, "flag_normalize_lip": False}
    asked = rules(options | {"driving_option": "expression-friendly"} | golden().cases[name]["options"])
    x_d = model.driving_keypoints(portrait(), driver(), driver()[0], asked)
    assert golden().difference(f"{name}/x_d", x_d) < LIMIT


def spoken(landmarks: bool = True) -> tuple[Portrait, Motion]:
    """The reference's motion from speech, and the portrait."""
    data = golden("liveportrait_audio")
    x_c, source = face("compose/source", data)
    driving = Motion(*(data.output(f"compose/driving/{part}") for part in ("R", "exp", "scale", "t")))
    return encoded(x_c, measured(source, data.input("compose/source_lmk")) if landmarks else source), driving


@pytest.mark.parametrize(
    "name",
    # JoyVASA moves the head's place and size even where the face alone moves; here the head stays.
    [name for name in golden("liveportrait_audio").cases if "human/exp." not in name and "human/lip." not in name],
)
def test_speech_cases_through_the_model(name: str):
    data = golden("liveportrait_audio")
    model = official_with_small_networks(needs_landmarks="human" in name)
    source, driving = spoken()
    options = data.cases[name]["options"]
    # All of JoyVASA's regions keep the change of size.
    asked = replace(rules(options), spoken=True, size=1.0)
    x_d = model.driving_keypoints(source, driving, driving[0], asked)
    assert data.difference(f"{name}/x_d", x_d) < LIMIT


def test_all_286_cases_are_here():
    assert len(golden().cases) == 286


def test_a_voice_may_move_the_lips_alone():
    source, driving = spoken()
    x_d = drive_picture(UNSTITCHED, source, driving, driving[0], replace(NOTHING, lips=1.0, spoken=True))
    moved = (x_d - source.x_s).abs().amax((0, 2)) > 1e-6
    assert set(moved.nonzero().flatten().tolist()) == set(OFFICIAL.lips)


@pytest.mark.parametrize("relative", [True, False])
def test_without_strength_nothing_moves(relative: bool):
    asked = replace(NOTHING, relative=relative)
    x_d = drive_picture(UNSTITCHED, portrait(), driver(), driver()[0], asked)
    torch.testing.assert_close(x_d, portrait().x_s.expand(6, -1, -1), atol=1e-5, rtol=0)
    animal = drive_animal(UNSTITCHED, portrait(), driver(), driver()[0], NOTHING)
    torch.testing.assert_close(animal, portrait().x_s.expand(6, -1, -1), atol=1e-5, rtol=0)
    video = portrait(source_video)
    for anchor in (driver()[0], None):
        same = drive_frames(lambda *given: drive_video(UNSTITCHED, *given), video, driver(), anchor, asked)
        torch.testing.assert_close(same, video.x_s, atol=1e-5, rtol=0)


def test_a_driver_that_holds_still_leaves_a_picture_as_it_is():
    frame = driver()[2]
    still = Motion.cat([frame] * 5)
    x_d = drive_picture(UNSTITCHED, portrait(), still, frame, ALL)
    torch.testing.assert_close(x_d, portrait().x_s.expand(5, -1, -1), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("part", "rows"), [("lips", OFFICIAL.lips), ("eyes", OFFICIAL.eyes), ("brows", (1, 2))])
def test_each_part_has_its_own_strength(part: str, rows: tuple[int, ...]):
    x_d = drive_picture(UNSTITCHED, portrait(), driver(), driver()[0], replace(NOTHING, **{part: 0.5}))
    moved = (x_d - portrait().x_s).abs().amax((0, 2)) > 1e-5
    assert set(moved.nonzero().flatten().tolist()) == set(rows)
    full = drive_picture(UNSTITCHED, portrait(), driver(), driver()[0], replace(NOTHING, **{part: 1.0}))
    torch.testing.assert_close(2 * (x_d - portrait().x_s), full - portrait().x_s, atol=1e-5, rtol=0)


def test_strength_scales_the_way_from_the_source():
    source = portrait()
    once = drive_picture(small_networks(), source, driver(), driver()[0], ALL)
    half = drive_picture(small_networks(), source, driver(), driver()[0], replace(ALL, strength=0.5))
    torch.testing.assert_close(2 * (half - source.x_s), once - source.x_s)


def test_half_a_head_turn_is_half_the_angle():
    own = source_picture()[1]
    turned = replace(own, rotation=driver().rotation[:1])
    half = compose_picture(own, turned, own, replace(ALL, head=0.5)).rotation @ own.rotation.transpose(1, 2)
    whole = turned.rotation @ own.rotation.transpose(1, 2)
    for part, total in zip(euler_degrees(half), euler_degrees(whole), strict=True):
        torch.testing.assert_close(2 * part, total, atol=1e-3, rtol=0)


def test_a_head_turn_is_added_to_the_sources_own():
    def yaw(degrees: float) -> torch.Tensor:
        zero = torch.zeros(1)
        return rotation_matrix(zero, torch.tensor([degrees]), zero)

    turned = relative_rotation(yaw(10.0), yaw(25.0), yaw(20.0))
    torch.testing.assert_close(turned, yaw(15.0), atol=1e-6, rtol=0)


def test_retargeting_that_adds_keeps_the_rest_of_the_motion():
    asked = replace(ALL, retarget_lips=True)
    x_d = drive_picture(UNSTITCHED, portrait(), driver(), driver()[0], asked)
    without_lips = drive_picture(UNSTITCHED, portrait(), driver(), driver()[0], replace(ALL, lips=0.0))
    source = portrait()
    lips = small_networks().retarget_lip(source.x_s, source.motion.lip_ratio, driver().lip_ratio)
    torch.testing.assert_close(x_d, without_lips + lips, atol=1e-5, rtol=0)


def test_eyes_that_reach_a_ratio_keep_their_gaze_to_the_side():
    weights = part_weights(replace(ALL, retarget_eyes=True), torch.zeros(1, 21, 3))
    assert weights[11].tolist() == [1.0, 0.0, 0.0]
    assert weights[19].tolist() == [1.0, 1.0, 1.0]


def test_open_lips_of_a_portrait_are_closed_and_closed_ones_are_not():
    closing = replace(ALL, normalize_lips=True)
    for landmarks, factor in (("open", 1.0), ("closed", 0.0)):
        source = portrait(source_picture, landmarks)
        ratio = source.motion.lip_ratio
        offset = small_networks().retarget_lip(source.x_s, ratio, torch.zeros_like(ratio))
        plain = drive_picture(small_networks(), source, driver(), driver()[0], ALL)
        x_d = drive_picture(small_networks(), source, driver(), driver()[0], closing)
        torch.testing.assert_close(x_d, plain + factor * offset, atol=1e-5, rtol=0)


def test_parts_of_a_motion_give_what_the_whole_gives():
    asked = replace(ALL, normalize_lips=True)
    whole = drive_picture(small_networks(), portrait(), driver(), driver()[0], asked)
    for start in (0, 2, 4):
        part = drive_picture(small_networks(), portrait(), driver()[start : start + 2], driver()[0], asked)
        torch.testing.assert_close(part, whole[start : start + 2], atol=1e-6, rtol=0)


def test_a_video_is_driven_with_a_short_look_ahead():
    asked, taken = replace(ALL, open_eyes=True), []
    video, motion = portrait(source_video), driver()

    def frames():
        for n in range(60):
            taken.append(n)
            yield video[n % 6], motion[n % 6]

    keypoints = drive_video(small_networks(), frames(), motion[0], asked)
    first = next(keypoints)
    assert first.shape == (1, 21, 3) and len(taken) < 10
    assert len(list(keypoints)) == 59


def test_an_unsmoothed_video_is_driven_frame_by_frame():
    asked = replace(ALL, observation_variance=0.0)
    video = portrait(source_video)
    together = drive_frames(lambda *given: drive_video(small_networks(), *given), video, driver(), driver()[0], asked)
    for i in range(6):
        (alone,) = drive_video(small_networks(), [(video[i], driver()[i])], driver()[0], asked)
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-5, rtol=0)


def test_a_driver_without_ratios():
    blind = replace(driver(), eye_ratio=None, lip_ratio=None)
    drive_picture(small_networks(), portrait(), blind, blind[0], ALL)
    with pytest.raises(LandmarksNeededError):
        drive_picture(small_networks(), portrait(), blind, blind[0], replace(ALL, retarget_lips=True))


@pytest.mark.parametrize("rule", ["retarget_eyes", "retarget_lips", "open_eyes"])
def test_openness_rules_need_openness(rule: str):
    x_c, source = source_video()
    blind = encoded(x_c, replace(source, eye_ratio=None, lip_ratio=None))
    with pytest.raises(ValueError, match="without landmarks"):
        list(drive_video(small_networks(), [(blind[0], driver()[0])], driver()[0], replace(ALL, **{rule: True})))


@pytest.mark.parametrize("needs_landmarks", [True, False])
def test_the_model_follows_and_is_edited(needs_landmarks: bool):
    model = tiny_official(needs_landmarks)
    source = model.encode(picture(landmarks=needs_landmarks))
    motion: Motion = model.extract(picture(3, landmarks=needs_landmarks, seed=1))
    for anchor in (motion[0], None):
        assert model.driving_keypoints(source, motion[1:], anchor, ALL).shape == (2, 21, 3)
        frames = [(source, motion[n]) for n in (1, 2)]
        assert [x.shape for x in model.video_keypoints(frames, anchor, ALL)] == [(1, 21, 3)] * 2
    sliders = Sliders(smile=0.5, yaw_deg=5)
    x_d = model.edit(source, sliders)
    torch.testing.assert_close(x_d, edit(model, source.x_c, source.motion, sliders, stitching=True))
    if not needs_landmarks:
        with pytest.raises(PortraitError):
            model.edit(source, Sliders(lip_ratio=0.3))


def test_stitching_may_be_left_out():
    asked = replace(ALL, stitching=False)
    plain = drive_picture(small_networks(), portrait(), driver(), driver()[0], asked)
    torch.testing.assert_close(
        plain, drive_picture(UNSTITCHED, portrait(), driver(), driver()[0], ALL), atol=1e-6, rtol=0
    )
    animal = drive_animal(small_networks(), portrait(), driver(), driver()[0], asked)
    expected = drive_animal(UNSTITCHED, portrait(), driver(), driver()[0], ALL)
    torch.testing.assert_close(animal, expected, atol=1e-6, rtol=0)


def test_pose_friendly_animals_move_as_far_as_the_driver():
    source, asked = portrait(), replace(ALL, friendly="pose")
    pose = drive_animal(UNSTITCHED, source, driver(), driver()[0], asked) - source.x_s
    expression = drive_animal(UNSTITCHED, source, driver(), driver()[0], ALL) - source.x_s
    ratio = expression[1:].norm() / pose[1:].norm()  # one factor, from the faces' sizes, on all of the motion
    torch.testing.assert_close(expression, ratio * pose, atol=1e-5, rtol=0)
    assert pose.abs().max() > 0.01 and abs(float(ratio) - 1) > 1e-3
