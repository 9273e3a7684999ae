"""The Fréchet distance of Gaussians that are worked out by hand."""

import numpy as np
import pytest

from talkinghead.evaluation.frechet import frechet_distance


def test_equal_sets_are_not_apart():
    some = np.random.default_rng(0).normal(size=(50, 4))
    assert frechet_distance(some, some) == pytest.approx(0, abs=1e-9)


def test_means_count_squared():
    assert frechet_distance(np.array([[0.0], [2]]), np.array([[3.0], [5]])) == pytest.approx(9)


def test_spreads_count():
    # means 1 and 3, variances 2 and 18: 4 + 2 + 18 - 2 * 6
    assert frechet_distance(np.array([[0.0], [2]]), np.array([[0.0], [6]])) == pytest.approx(12)


def test_directions_are_compared():
    # The same ellipse, once lying and once standing: variances 8 and 2, and the root of their product is 4 for both.
    lying = np.array([[-2.0, 0], [2, 0], [0, -1], [0, 1]]) * np.sqrt(3)
    expected = 2 * (8 + 2) - 2 * (4 + 4)
    assert frechet_distance(lying, lying[:, ::-1]) == pytest.approx(expected)
    turn = np.array([[0.6, 0.8], [-0.8, 0.6]])
    assert frechet_distance(lying @ turn, lying[:, ::-1] @ turn) == pytest.approx(expected)


def test_one_picture_is_no_set():
    with pytest.raises(ValueError, match="two or more"):
        frechet_distance(np.zeros((1, 3)), np.zeros((5, 3)))
