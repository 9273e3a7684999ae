"""Background and edge of a person: what moves is measured, what stays is not, and real motion is aligned first."""

from types import SimpleNamespace

import numpy as np

from talkinghead.evaluation.background import changes

SIDE = 96
INSIDE = np.ones((SIDE, SIDE), bool)
FINDER = SimpleNamespace(find=lambda picture: (picture[..., 2] > 200).astype(np.float32))


def frames(shifts, wall=lambda n: 0, noise=0):
    """A bright person that moves before a wall of noise."""
    random = np.random.default_rng(0)
    behind = random.integers(0, 150, (SIDE, SIDE, 3), np.uint8)
    for n, shift in enumerate(shifts):
        picture = np.roll(behind, wall(n), axis=1)
        picture[30:, 30 + shift : 66 + shift] = (240, 220, 210 + random.integers(0, noise + 1))
        yield picture


def test_a_still_background_does_not_change_however_the_person_moves():
    assert changes(frames([0, 1, 2, 1]), INSIDE, FINDER)["background"] == 0


def test_a_background_that_moves_is_seen():
    assert changes(frames([0, 1, 2], wall=lambda n: n), INSIDE, FINDER)["background"] > 20


def test_an_edge_that_moves_is_aligned_and_one_that_flickers_is_not():
    still, flickering = (changes(frames([0, 0, 0, 0], noise=each), INSIDE, FINDER)["edge"] for each in (0, 40))
    assert still < 0.5 < flickering


def test_without_background_there_is_no_figure():
    everything = SimpleNamespace(find=lambda picture: np.ones(picture.shape[:2], np.float32))
    assert all(np.isnan(value) for value in changes(frames([0, 1]), INSIDE, everything).values())
