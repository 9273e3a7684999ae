"""Picture quality falls with blur, coding and bad light, and each figure with its own fault only."""

import cv2
import numpy as np
import pytest
from drawn_face import drawn_face

from talkinghead.face import FaceTracker
from talkinghead.face.quality import blockiness, clipped, face_quality, sharpness


@pytest.fixture(scope="module")
def face():
    noise = np.random.default_rng(0).normal(0, 4, (256, 256, 1))
    return (drawn_face(256) + noise).clip(0, 255).astype(np.uint8)


def coded(picture, quality):
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def test_blur_takes_sharpness(face):
    assert sharpness(cv2.GaussianBlur(face, (0, 0), 2)) < 0.2 * sharpness(face)
    left = np.zeros(face.shape[:2], bool)
    left[:, :128] = True
    assert sharpness(face, left) == pytest.approx(sharpness(face), rel=0.5)


def test_coding_makes_blocks(face):
    assert blockiness(np.full((32, 32, 3), 90, np.uint8)) == 1
    assert blockiness(face) == pytest.approx(1, abs=0.1)
    assert blockiness(coded(face, 5)) > 1.3
    assert blockiness(cv2.GaussianBlur(face, (0, 0), 2)) == pytest.approx(1, abs=0.2)


def test_bad_light_clips(face):
    assert clipped(face) < 0.05
    assert clipped((face.astype(int) * 3).clip(0, 255).astype(np.uint8)) > 0.4
    assert clipped(face // 40) == 1


def test_the_face_is_judged_and_not_its_background(face):
    points = FaceTracker().track(face)
    own = face_quality(face, points)
    assert list(own) == ["sharpness", "blockiness", "clipped"]
    dark = face.copy()
    dark[:20] = 0
    assert face_quality(dark, points) == own
    assert face_quality(coded(face, 5), points)["blockiness"] > own["blockiness"] + 0.1
