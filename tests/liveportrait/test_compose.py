"""Motion composition: all of the reference's cases, and what must hold for any motion."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from official_motion import (
    PLAIN_RULES,
    driver,
    face,
    measured,
    rules,
    small_networks,
    source_picture,
    source_video,
)
from official_reference import golden

from liveportrait.compose import compose, compose_animal, compose_audio, compose_audio_animal, relative_rotation
from liveportrait.keypoints import rotation_matrix, transform_keypoints
from liveportrait.motion import Motion
from liveportrait.regions import OFFICIAL, REGIONS
from liveportrait.retarget import RetargetContext, drive, drive_animal, retarget

LIMIT = 1e-5


def names(data, pipeline: str) -> list[str]:
    return [name for name, case in data.cases.items() if case.get("pipeline") == pipeline]


@pytest.mark.parametrize("name", names(golden(), "human"))
def test_human_cases(name: str):
    case = golden().cases[name]
    x_c, source = (source_picture if case["source"] == "image" else source_video)(case["source_lmk"])
    frames = case["source_frames"]
    driving = driver()
    if "alone" in case["driving"]:
        driving = driving[3]
    elif case["driving"] == "first 4 frames":
        driving = driving[:4]
    x_c, source = x_c[:frames], source[:frames]
    x_d = drive(small_networks(), x_c, source, driving, rules(case["options"]), OFFICIAL)
    assert len(x_d) == case["n_out"]
    x_s = transform_keypoints(x_c, source)[: len(x_d)]
    assert golden().difference(f"{name}/x_s", x_s.expand_as(x_d)) < LIMIT
    assert golden().difference(f"{name}/x_d", x_d) < LIMIT


@pytest.mark.parametrize("name", names(golden(), "animal"))
def test_animal_cases(name: str):
    options = golden().cases[name]["options"]
    x_c, source = source_picture()
    x_s = transform_keypoints(x_c, source)
    x = transform_keypoints(x_c, compose_animal(source, driver()))
    x_d = drive_animal(small_networks(), x_s, x, options["flag_stitching"], options["driving_multiplier"])
    assert golden().difference(f"{name}/x_s", x_s.expand_as(x_d)) < LIMIT
    assert golden().difference(f"{name}/x_d", x_d) < LIMIT


def voice_case() -> tuple[torch.Tensor, Motion, Motion]:
    data = golden("liveportrait_audio")
    x_c, source = face("compose/source", data)
    driving = Motion(*(data.output(f"compose/driving/{part}") for part in ("R", "exp", "scale", "t")))
    return x_c, measured(source, data.input("compose/source_lmk")), driving


@pytest.mark.parametrize("name", names(golden("liveportrait_audio"), "JoyVASA human"))
def test_voice_on_a_human(name: str):
    data = golden("liveportrait_audio")
    x_c, source, driving = voice_case()
    setting = rules(data.cases[name]["options"])
    motion = compose_audio(source, driving, setting.region, OFFICIAL)
    x_s, x = transform_keypoints(x_c, source), transform_keypoints(x_c, motion)
    x_d = retarget(small_networks(), x_s, source, x, motion, setting, RetargetContext(False, True, x[:1]))
    assert data.difference(f"{name}/x_s", x_s) < LIMIT
    assert data.difference(f"{name}/x_d", x_d) < LIMIT


@pytest.mark.parametrize("name", names(golden("liveportrait_audio"), "JoyVASA animal"))
def test_voice_on_an_animal(name: str):
    data = golden("liveportrait_audio")
    options = data.cases[name]["options"]
    x_c, source, driving = voice_case()
    x_s = transform_keypoints(x_c, source)
    x = transform_keypoints(x_c, compose_audio_animal(source, driving))
    x_d = drive_animal(small_networks(), x_s, x, options["flag_stitching"], options["driving_multiplier"])
    assert data.difference(f"{name}/x_d", x_d) < LIMIT


def test_all_286_cases_are_here():
    assert len(golden().cases) == 286


@pytest.mark.parametrize("region", REGIONS)
def test_a_driver_that_holds_still_leaves_a_picture_as_it_is(region):
    x_c, source = source_picture()
    still = Motion(*(value.expand(5, *value.shape[1:]) for value in driver_frame()))
    x_d = drive(small_networks(), x_c, source, still, replace(PLAIN_RULES, region=region), OFFICIAL)
    torch.testing.assert_close(x_d, transform_keypoints(x_c, source).expand(5, -1, -1), atol=1e-5, rtol=0)


def driver_frame() -> tuple[torch.Tensor, ...]:
    frame = driver()[2]
    return frame.rotation, frame.expression, frame.scale, frame.translation


@pytest.mark.parametrize(("region", "rows"), [("lip", OFFICIAL.lips), ("eyes", OFFICIAL.eyes)])
def test_a_part_moves_its_own_rows_only(region, rows):
    _, source = source_picture()
    for relative in (True, False):
        motion = compose(source, driver(), replace(PLAIN_RULES, region=region, relative=relative), OFFICIAL)
        moved = (motion.expression - source.expression).abs().amax((0, 2)) > 0
        assert set(moved.nonzero().flatten().tolist()) == set(rows)
        assert torch.equal(motion.rotation, source.rotation.expand(6, 3, 3))
        assert torch.equal(motion.scale, source.scale.expand(6, 1))


def test_the_shorter_of_two_videos_ends_the_sequence_and_a_picture_serves_all():
    _, source = source_video()
    assert len(compose(source, driver()[:4], PLAIN_RULES, OFFICIAL)) == 4
    assert len(compose(source[:3], driver(), PLAIN_RULES, OFFICIAL)) == 3
    assert len(compose(source, driver()[0], PLAIN_RULES, OFFICIAL)) == 6
    assert len(compose(source[0], driver(), PLAIN_RULES, OFFICIAL)) == 6


def test_composed_motion_carries_the_drivers_openness():
    _, source = source_picture()
    motion = compose(source, driver(), PLAIN_RULES, OFFICIAL)
    assert torch.equal(motion.eye_ratio, driver().eye_ratio)
    assert torch.equal(motion.lip_ratio, driver().lip_ratio)


def test_a_head_turn_is_added_to_the_sources_own():
    def yaw(degrees: float) -> torch.Tensor:
        zero = torch.zeros(1)
        return rotation_matrix(zero, torch.tensor([degrees]), zero)

    turned = relative_rotation(yaw(10.0), yaw(25.0), yaw(20.0))
    torch.testing.assert_close(turned, yaw(15.0), atol=1e-6, rtol=0)
