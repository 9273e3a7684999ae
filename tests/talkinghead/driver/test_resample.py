"""Motion is scaled by strengths and brought to any frame rate, whatever its parts."""

from fractions import Fraction

import pytest
import torch
from fake_models import speech_motion

from liveportrait.keypoints import euler_degrees, rotation_matrix
from talkinghead.driver.resample import in_batches, retime, scale_motion
from talkinghead.options import MotionOptions


def lips(parts):
    return (torch.cat([part.lip_ratio for part in parts])[:, 0] * 100).tolist()


def in_parts(num_frames, size):
    return [speech_motion(min(size, num_frames - n), start=n) for n in range(0, num_frames, size)]


def test_at_25_nothing_changes():
    assert lips(retime(in_parts(20, 7), Fraction(25), 20)) == pytest.approx(range(20))


def test_at_50_frames_lie_at_quarters():
    """The middles of two short frames lie a quarter to either side of the middle of the long one."""
    assert lips(retime([speech_motion(4)], Fraction(50), 8)) == pytest.approx(
        [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]
    )


def test_at_12_5_frames_lie_between():
    assert lips(retime([speech_motion(8)], Fraction(25, 2), 4)) == pytest.approx([0.5, 2.5, 4.5, 6.5])


@pytest.mark.parametrize("fps", [Fraction(30000, 1001), Fraction(24), Fraction(10), Fraction(120)])
@pytest.mark.parametrize("size", [1, 7, 50])
def test_parts_do_not_matter(fps, size):
    count = int(60 * fps / 25)
    assert lips(retime(in_parts(60, size), fps, count)) == pytest.approx(lips(retime([speech_motion(60)], fps, count)))


def test_ten_minutes_do_not_drift():
    fps, seconds = Fraction(30000, 1001), 600
    *_, last = retime(in_parts(seconds * 25, 1000), fps, int(seconds * fps))
    assert float(last.lip_ratio[-1]) * 100 == pytest.approx(seconds * 25 - 1, abs=0.5)


def test_motion_holds_its_last_frame():
    assert lips(retime([speech_motion(3)], Fraction(25), 5)) == pytest.approx([0, 1, 2, 2, 2])


def test_what_is_too_much_is_left_out():
    assert lips(retime(in_parts(20, 7), Fraction(25), 9)) == pytest.approx(range(9))


@pytest.mark.parametrize(
    ("fps", "frames"), [(Fraction(25), 7), (Fraction(50), 14), (Fraction(30), 9), (Fraction(10), 3)]
)
@pytest.mark.parametrize("size", [1, 7])
def test_without_a_length_it_ends_where_the_voice_ends(fps, frames, size):
    """Seven frames last 0.28 seconds; the last short frame is shown whole."""
    unknown = lips(retime(in_parts(7, size), fps, None))
    assert len(unknown) == frames
    assert unknown == pytest.approx(lips(retime([speech_motion(7)], fps, frames)))
    assert list(retime([], fps, None)) == []


def test_rotations_stay_rotations():
    part = speech_motion(2)
    turned = rotation_matrix(torch.tensor([0.0, 10.0]), torch.tensor([0.0, -20.0]), torch.tensor([0.0, 8.0]))
    object.__setattr__(part, "rotation", turned)
    (between,) = retime([part], Fraction(25, 2), 1)
    assert torch.allclose(between.rotation[0] @ between.rotation[0].T, torch.eye(3), atol=1e-6)
    assert [float(angle) for angle in euler_degrees(between.rotation)] == pytest.approx([5, -10, 4], abs=1e-3)


def test_strengths():
    part = speech_motion(3)
    object.__setattr__(part, "rotation", rotation_matrix(*torch.tensor([[0.0, 4, 4], [0, 6, 6], [0, -2, -2]])))
    options = MotionOptions(lip_strength=0.5, head_strength=2.0, expression_strength=0.25)
    (done,) = scale_motion([part], options, num_mouth=2)
    assert done.expression.tolist() == [[0, 0, 0], [0.5, 0.5, -0.25], [1, 1, -0.5]]
    assert done.lip_ratio[:, 0].tolist() == pytest.approx([0, 0.005, 0.01])
    assert torch.stack(euler_degrees(done.rotation))[:, 1].tolist() == pytest.approx([8, 12, -4], abs=1e-3)
    assert torch.allclose(done.translation, part.translation * 2)
    assert done.eye_openness.eq(0).all() and torch.equal(done.gaze_deg, part.gaze_deg)


def test_still_and_without_blinks():
    part = speech_motion(3)
    object.__setattr__(part, "rotation", rotation_matrix(*torch.full((3, 3), 5.0)))
    (done,) = scale_motion([part], MotionOptions(still=True, blink=False), num_mouth=2)
    assert torch.allclose(done.rotation, torch.eye(3).expand(3, 3, 3), atol=1e-6)
    assert done.translation.eq(0).all() and done.eye_openness.eq(1).all()
    assert torch.equal(done.expression, part.expression)


@pytest.mark.parametrize("size", [1, 4, 8, 100])
def test_batches_keep_order_and_size(size):
    batches = list(in_batches(in_parts(23, 5), size))
    assert {len(batch) for batch in batches[:-1]} <= {size} and len(batches[-1]) <= size
    assert lips(batches) == pytest.approx(range(23))


def test_the_first_batch_may_be_smaller():
    batches = list(in_batches(in_parts(23, 5), 8, first=3))
    assert [len(batch) for batch in batches] == [3, 8, 8, 4]
    assert lips(batches) == pytest.approx(range(23))
