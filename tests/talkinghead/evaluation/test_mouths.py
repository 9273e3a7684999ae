"""Figures of painted mouths: colour differences as published, teeth as the brighter half, sharpness where asked."""

import numpy as np
import pytest

from talkinghead.evaluation.metrics import ciede2000, lab
from talkinghead.evaluation.mouths import MOUTH_SIDE, inside_of, teeth_colour
from talkinghead.face.quality import sharpness


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [  # Sharma et al., 2005, Table 1
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
        ((50.0, -1.0, 2.0), (50.0, 0.0, 0.0), 2.3669),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
        ((50.0, 0.0, 0.0), (50.0, 0.0, 0.0), 0.0),
    ],
)
def test_colour_differences_are_the_published_ones(first, second, expected):
    assert ciede2000(np.array(first), np.array(second)) == pytest.approx(expected, abs=1e-4)
    assert ciede2000(np.array(second), np.array(first)) == pytest.approx(expected, abs=1e-4)


def test_white_and_grey_in_lab():
    assert lab(np.array([255, 255, 255])) == pytest.approx([100, 0, 0], abs=0.1)
    assert lab(np.array([119, 119, 119])) == pytest.approx([50, 0, 0], abs=0.5)


def test_teeth_are_the_brighter_half_of_the_inside():
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:, :4] = (230, 220, 200)
    picture[:, 4:] = (40, 10, 10)
    inside = np.zeros((8, 8), bool)
    inside[2:6, 2:6] = True
    assert teeth_colour(picture, inside) == pytest.approx([230, 220, 200])


def test_the_inside_is_drawn_at_the_size_that_is_looked_at():
    lips = np.array([[120, 120], [180, 120], [180, 140], [120, 140]], np.float32)
    inside = inside_of(lips, (slice(100, 164), slice(100, 228)))
    rows, columns = np.nonzero(inside)
    assert inside.shape == (MOUTH_SIDE, MOUTH_SIDE)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (40, 80, 20, 80)


def test_sharpness_of_a_part():
    picture = np.full((32, 32, 3), 128, np.uint8)
    picture[:, ::2][:16] = 255
    smooth = np.zeros((32, 32), bool)
    smooth[20:30] = True
    assert sharpness(picture, smooth) < 1e-6 < sharpness(picture)
