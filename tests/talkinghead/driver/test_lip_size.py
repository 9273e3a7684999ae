"""How far a person opens the mouth; worked by hand."""

import pytest
import torch

from talkinghead.driver.lip_size import lip_gain


def opening_every_third(widest, frames):
    return torch.tensor([0.0, 0.0, widest]).repeat(frames // 3)[:, None]


@pytest.mark.parametrize(("widest", "gain"), [(0.27, 1.0), (0.39, 1.2), (0.135, 0.71), (1.0, 1.3), (0.05, 0.5)])
def test_lips_open_by_the_square_root_of_how_far_the_clips_do(widest, gain):
    assert lip_gain(opening_every_third(widest, 300)) == pytest.approx(gain, abs=0.005)


def test_less_than_a_second_tells_nothing():
    assert lip_gain(opening_every_third(0.54, 24)) == 1.0
    assert lip_gain(opening_every_third(0.54, 30), fps=60) == 1.0
    assert lip_gain(opening_every_third(0.54, 30)) == pytest.approx(1.3)


def test_a_parted_but_still_mouth_tells_nothing():
    lips = 0.2 + 0.01 * torch.arange(300).remainder(2)[:, None]
    assert lip_gain(lips) == 1.0
    assert lip_gain(lips, fps=50) < 1.0  # twice as fast


def test_no_frames_tell_nothing():
    assert lip_gain(torch.zeros(0, 1)) == 1.0
