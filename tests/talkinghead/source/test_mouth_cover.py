"""Hands and microphones in front of a mouth are found; speech, light and turns are not taken for them."""

import numpy as np
import pytest

from talkinghead.source.mouth_cover import SKIN, covered_frames, skin_colors

FRAMES = 60


@pytest.fixture
def colors():
    """Skin of a talking head: every point has its colour, noise and a slow change of light."""
    noise = np.random.default_rng(0)
    skin = np.array([180, 130, 110]) + noise.normal(0, 12, (len(SKIN), 3))
    light = np.linspace(1, 0.7, FRAMES)[:, None, None]
    return np.clip(skin * light + noise.normal(0, 6, (FRAMES, len(SKIN), 3)), 0, 255)


def found(colors, seen=None, cuts=()):
    seen = np.ones(len(colors), bool) if seen is None else seen
    return np.flatnonzero(covered_frames(colors.astype(np.float32), seen, cuts)).tolist()


def test_an_uncovered_mouth_is_left_alone(colors):
    colors[::2, :10] *= 0.6  # a beard that moves
    assert found(colors) == []


def test_something_dark_is_found_while_it_is_there(colors):
    colors[20:32, :30] = 40
    assert found(colors) == list(range(20, 32))


def test_a_single_odd_frame_does_not_count(colors):
    colors[20, :40] = 40
    assert found(colors) == []


def test_scenes_are_judged_by_themselves(colors):
    colors[30:] = 255 - colors[30:]
    assert found(colors, cuts=[30]) == []


def test_frames_without_the_face_are_skipped(colors):
    seen = np.ones(FRAMES, bool)
    seen[10:20] = False
    colors[10:20] = 0
    assert found(colors, seen) == []


def test_a_side_that_is_turned_away_does_not_count(colors):
    colors[20:40, :30] = np.nan
    colors[30:40, 30:34] = 0
    assert found(colors) == []


def test_colors_are_read_at_the_points():
    picture = np.zeros((200, 300, 3), np.uint8)
    picture[:, 150:] = 200
    points = np.random.default_rng(1).uniform(-60, 60, (478, 3)) + np.array([150, 100, 0])
    points[[234, 1, 454], 0] = 90, 150, 210
    read = skin_colors(picture, points.astype(np.float32))
    assert not np.isnan(read).any()
    right = points[list(SKIN), 0] > 156
    left = points[list(SKIN), 0] < 144
    assert read.shape == (len(SKIN), 3) and read[right].min() == 200 and read[left].max() == 0
    points[454, 0] = 160
    turned = np.isnan(skin_colors(picture, points.astype(np.float32))[:, 0])
    assert 10 < turned.sum() < len(SKIN) / 2 and not turned[0]
