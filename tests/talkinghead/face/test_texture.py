"""Texture is continued where it is wanted and known patches fit, from known pixels alone, and nowhere else."""

import numpy as np
import pytest

from talkinghead.face.texture import DEPTH, continue_texture

SIDE = 256


@pytest.fixture
def stripes():
    """Horizontal stripes, of which a square is unknown and black."""
    rows = np.arange(SIDE)[:, None]
    whole = np.broadcast_to((100 + 90 * np.sin(rows / 2)).astype(np.uint8)[..., None], (SIDE, SIDE, 3)).copy()
    known = np.ones((SIDE, SIDE), np.uint8)
    known[70:190, 70:190] = 0
    return whole, known


def continued(whole, known, wanted=True):
    return continue_texture(whole * known[..., None], known, np.full(known.shape, wanted))


def test_stripes_go_on_behind_the_hole(stripes):
    whole, known = stripes
    colours, trust = continued(whole, known)
    beside = np.s_[90:170, 71:76]
    assert trust[beside].min() > 0.9
    assert np.abs(colours - whole)[beside].mean() < 8


def test_only_the_border_is_continued_and_only_where_it_is_wanted(stripes):
    whole, known = stripes
    deep = round(SIDE * DEPTH) + 71
    assert continued(whole, known)[1][deep:-deep, deep:-deep].max() == 0
    assert continued(whole, known, False)[1][known == 0].max() < 0.7  # one pixel beside the border is blurred


def test_patches_that_do_not_fit_are_not_trusted(stripes):
    _, known = stripes
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    assert continued(noise, known)[1][74:80, 90:170].max() == 0


@pytest.mark.parametrize("value", [0, 1])
def test_without_a_border_nothing_is_continued(stripes, value):
    whole, known = stripes
    _, trust = continued(whole, np.full_like(known, value))
    assert value or trust.max() == 0
