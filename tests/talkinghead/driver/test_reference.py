"""A clip lends its head and its blinks; worked by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fake_models import fake_models, speech_motion
from PIL import Image

from liveportrait import Motion
from liveportrait.keypoints import euler_degrees, rotation_matrix
from talkinghead import MotionOptions
from talkinghead.driver.reference import Reference, apply_reference, apply_reference_to_motion, extract_reference
from talkinghead.driver.resample import scale_motion
from talkinghead.driver.speech import speech_rules
from talkinghead.errors import OptionError, VideoError


def turned(*yaws, keypoints=21):
    """A head that turns and moves; the eyes are shut in the last frame."""
    angles = torch.tensor(yaws, dtype=torch.float32)
    zero, count = torch.zeros_like(angles), len(angles)
    eyes = torch.full((count, 2), 0.3)
    eyes[-1] = 0.0
    return replace(
        Motion.still(count, keypoints),
        rotation=rotation_matrix(zero, angles, zero),
        translation=angles[:, None].expand(-1, 3) / 100,
        eye_ratio=eyes,
    )


@pytest.fixture
def reference():
    motion = turned(2.0, 5.0, 8.0)
    return Reference(motion, motion[0])


def test_a_clip_is_repeated_forwards_and_backwards(reference):
    yaw = euler_degrees(reference.frames(0, 9).rotation)[1]
    assert yaw.tolist() == pytest.approx([2, 5, 8, 5, 2, 5, 8, 5, 2], abs=1e-3)
    assert euler_degrees(reference.frames(5, 2).rotation)[1].tolist() == pytest.approx([5, 8], abs=1e-3)
    later = reference.starting(3 * 1000 + 2)
    assert euler_degrees(later.frames(0, 3).rotation)[1].tolist() == pytest.approx([8, 5, 2], abs=1e-3)


def test_head_and_blinks_come_from_the_clip_and_lips_do_not(reference):
    parts = list(apply_reference([speech_motion(2), speech_motion(3, start=2)], reference, 2))
    whole = {
        name: torch.cat([getattr(part, name) for part in parts]) for name in ("rotation", "lip_ratio", "expression")
    }
    assert euler_degrees(whole["rotation"])[1].tolist() == pytest.approx([0, 3, 6, 3, 0], abs=1e-3)
    assert torch.equal(whole["expression"], speech_motion(5).expression)
    assert parts[1].eye_openness.tolist() == [[0, 0], [1, 1], [1, 1]]
    assert parts[1].translation[0].tolist() == pytest.approx([0.06, 0.06, 0])
    # The eyes take back 0.6 of the clip's turn, as they do of a random one.
    gaze = parts[1].gaze_deg[0] - speech_motion(3).gaze_deg[2]
    assert abs(float(gaze[0])) == pytest.approx(0.6 * 6, abs=0.05) and abs(float(gaze[1])) < 1e-3


def test_the_mouth_opens_as_far_as_the_speaker_of_the_clip_opens_it():
    lips, gain = torch.tensor([0.0, 0.0, 0.135]).repeat(100), 0.5**0.5
    motion = replace(turned(*[0.0] * len(lips)), lip_ratio=lips[:, None])
    (part,) = apply_reference([speech_motion(4)], Reference(motion, motion[0]), 2)
    assert torch.allclose(part.lip_ratio, gain * speech_motion(4).lip_ratio, rtol=0.02)
    assert torch.allclose(part.expression[:, :2], gain * speech_motion(4).expression[:, :2], rtol=0.02)
    assert torch.equal(part.expression[:, 2:], speech_motion(4).expression[:, 2:])


def test_eyes_open_as_wide_as_the_reference_s_up_to_a_limit(reference):
    ratios = torch.tensor([0.3, 0.33, 0.9, 0.3, 0.3])[:, None].expand(-1, 2)
    motion = replace(turned(*[0.0] * 5), eye_ratio=ratios)
    openness = Reference(motion, motion[0]).openness(motion)
    assert openness[1].tolist() == pytest.approx([1.1, 1.1])
    assert 1.1 < openness[2].min() <= openness[2].max() < 1.5


def test_generated_motion_takes_the_change_since_the_neutral_frame(reference):
    generated = turned(40.0, 41.0, 42.0, 43.0)
    (part,) = apply_reference_to_motion([generated], generated[0], reference)
    assert euler_degrees(part.rotation)[1].tolist() == pytest.approx([40, 43, 46, 43], abs=1e-3)
    assert part.translation[2].tolist() == pytest.approx([0.46] * 3)


def test_lips_only_moves_nothing_else():
    (part,) = scale_motion(
        [replace(speech_motion(4), rotation=turned(0, 3, 6, 9).rotation)], MotionOptions(lips_only=True), 2
    )
    assert torch.equal(part.lip_ratio, speech_motion(4).lip_ratio)
    assert torch.equal(part.expression[:, :2], speech_motion(4).expression[:, :2])
    assert not part.expression[:, 2:].any() and not part.gaze_deg.any() and not part.translation.any()
    assert (part.eye_openness == 1).all()
    torch.testing.assert_close(part.rotation, torch.eye(3).expand(4, 3, 3))
    rules = speech_rules(MotionOptions(lips_only=True))
    assert (rules.lips, rules.head, rules.eyes, rules.brows, rules.face) == (1, 0, 0, 0, 0)


def test_contradictions_and_pictures_say_so(tmp_path):
    with pytest.raises(OptionError, match="leave one of them out"):
        MotionOptions(lips_only=True, reference="a.mp4")
    Image.fromarray(np.full((480, 640, 3), 200, np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(VideoError, match=r"a\.png: a single picture has no head motion"):
        extract_reference(tmp_path / "a.png", fake_models())
