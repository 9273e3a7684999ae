"""An open mouth is covered with the colours of its lips; a closed one stays as it is. Teeth are found."""

import cv2
import numpy as np
import pytest

from liveportrait.mini.regions import LIPS_INNER, LIPS_OUTER
from talkinghead.source.mouth_area import cover_mouth, teeth_score

SKIN, LIPS, TEETH = (150, 130, 120), (170, 80, 90), (240, 240, 230)
CENTER = np.array([160, 120], np.float32)


def lens(points, width, height):
    """Place points, in order from the left corner over the top, on an outline (width, height) around the centre."""
    angles = np.pi + 2 * np.pi * np.arange(len(points)) / len(points)
    return CENTER + np.stack([np.cos(angles) * width / 2, np.sin(angles) * height / 2], 1).astype(np.float32)


def face(opening, teeth_beyond=0):
    """Draw lips 12 pixels thick with teeth between them that reach beyond the landmarks; return landmarks too."""
    points = np.zeros((478, 3), np.float32)
    points[list(LIPS_INNER), :2] = lens(LIPS_INNER, 80, opening)
    points[list(LIPS_OUTER), :2] = lens(LIPS_OUTER, 104, opening + 24)
    picture = np.full((240, 320, 3), SKIN, np.uint8)
    cv2.fillPoly(picture, [np.rint(points[list(LIPS_OUTER), :2]).astype(np.int32)], LIPS)
    shown = lens(LIPS_INNER, 80 + 2 * teeth_beyond, opening + 2 * teeth_beyond)
    if opening:
        cv2.fillPoly(picture, [np.rint(shown).astype(np.int32)], TEETH)
    return picture, points


@pytest.mark.parametrize("teeth_beyond", [0, 2])
@pytest.mark.parametrize("opening", [14, 40])
def test_no_tooth_is_left_in_an_open_mouth(opening, teeth_beyond):
    picture, points = face(opening, teeth_beyond)
    before, covered = picture.copy(), cover_mouth(picture, points)
    box = covered[110:131, 130:191].astype(int)
    assert np.abs(box - LIPS).max() <= 12
    assert np.array_equal(picture, before)
    assert np.array_equal(covered[:90], picture[:90]) and np.array_equal(covered[:, :90], picture[:, :90])


def test_a_closed_mouth_stays():
    picture, points = face(0)
    assert cover_mouth(picture, points) is picture


@pytest.mark.parametrize("shift", [(-160, 0), (0, 115), (400, 400)])
def test_a_mouth_at_the_pictures_edge(shift):
    picture, points = face(30)
    points[:, :2] += shift
    assert cover_mouth(picture, points).shape == picture.shape


@pytest.mark.parametrize("light", [(1.0, 1.0, 1.0), (1.0, 0.4, 0.4), (0.5, 0.5, 0.5)])
def test_teeth_score_higher_than_a_tongue(light):
    """A small opening full of teeth tells more than a wide one with the tongue in it, in any light."""
    scores = []
    for opening, inside in ((20, TEETH), (40, (200, 120, 130)), (40, (40, 25, 25)), (0, TEETH)):
        picture, points = face(opening)
        points[[10, 152, 234, 454], :2] = CENTER + np.array([[0, -90], [0, 70], [-80, 0], [80, 0]])
        picture[(picture == TEETH).all(2)] = inside
        scores.append(teeth_score((picture * light).astype(np.uint8), points, np.float32(SKIN) * light))
    assert scores == sorted(scores, reverse=True) and scores[0] > 2 * scores[1]
