"""The person that is followed is told from others, whatever the light and the lips do."""

import cv2
import numpy as np
import pytest
from drawn_face import drawn_face
from made_up_mesh import mesh_points

from talkinghead.face.identity import FaceIdentity

POINTS = mesh_points(width=96, center=(128, 142))
"""Where `drawn_face` has its face."""


def bearded_face():
    picture = drawn_face()
    cv2.ellipse(picture, (128, 168), (40, 26), 0, 0, 360, (50, 35, 25), -1)
    cv2.ellipse(picture, (128, 160), (14, 5), 0, 0, 360, (190, 90, 90), -1)
    return picture


@pytest.fixture
def identity():
    """Somebody who has been seen to speak."""
    identity = FaceIdentity()
    for mouth in (0.0, 0.2, 0.4, 0.2, 0.0):
        identity.learn(drawn_face(mouth=mouth), POINTS)
    return identity


def test_the_same_person_is_known_with_an_open_mouth_and_in_other_light(identity):
    face = drawn_face(mouth=0.6)
    for picture in (face, face * 0.6, np.clip(face * [1.05, 1.0, 0.9], 0, 255)):
        assert identity.margin(picture.astype(np.uint8), POINTS) > 0


def test_somebody_of_the_same_build_and_colours_is_not_taken_for_that_person(identity):
    assert identity.margin(bearded_face(), POINTS) < 0


def test_anybody_is_followed_at_first():
    assert FaceIdentity().margin(bearded_face(), POINTS) >= 0
