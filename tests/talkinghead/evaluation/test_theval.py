"""Each measure of natural speech on curves whose answer is known."""

import numpy as np
import pytest

from talkinghead.evaluation.metrics import LEFT_CORNERS, RIGHT_CORNERS
from talkinghead.evaluation.theval import (
    BROWS,
    brow_motion,
    closeness,
    head_motion,
    lip_motion,
    natural_score,
    opening_against_loudness,
    silent_lip_motion,
)


def test_only_silent_lips_count_as_silent():
    opening = np.array([0, 0.1, 0.1, 0.4], np.float32)
    quiet = np.array([True, True, True, False])
    assert silent_lip_motion(opening, quiet) == pytest.approx(0.05)
    assert np.isnan(silent_lip_motion(opening, ~quiet))
    assert lip_motion(opening) == pytest.approx(0.4 / 3)


def test_lips_that_follow_loudness_are_near_it():
    loudness = np.array([0, 0.5, 1], np.float32)
    assert opening_against_loudness(3 * loudness + 1, loudness) == pytest.approx(0)
    assert opening_against_loudness(loudness[::-1], loudness) == pytest.approx(2 / 3)
    assert opening_against_loudness(np.full(3, 0.2, np.float32), loudness) == pytest.approx(0.5)


def test_heads_and_brows_that_hold_still_do_not_move():
    assert head_motion(np.array([[0, 0, 3], [0, 0, -3]], np.float32)) == pytest.approx(1)
    points = np.zeros((2, 478, 3), np.float32)
    points[:, LEFT_CORNERS, 0], points[:, RIGHT_CORNERS, 0] = -50, 50
    points[:, BROWS, 1] = -20
    assert brow_motion(points) == pytest.approx(0)
    points[1, BROWS, 1] = -40
    assert brow_motion(points) == pytest.approx(0.1)


def test_a_video_is_near_itself():
    assert closeness(2, 2) == 1 and closeness(1, 2) == 0.5 and closeness(5, 2) == -0.5
    assert natural_score({"a": 1.0, "real a": 2.0, "b": np.nan, "real b": 1.0, "real border": 3.0}) == 0.5
