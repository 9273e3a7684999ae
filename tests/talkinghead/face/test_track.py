"""Following a face: steady, quick to move with it, honest when it is gone."""

import numpy as np
import pytest
from drawn_face import drawn_face

from talkinghead.cli.demo import demo_inputs
from talkinghead.face.crop import CropFrame, FaceRect, cut
from talkinghead.face.detect import FaceDetector
from talkinghead.face.track import FaceTracker
from talkinghead.media.image import limit_size, read_image


@pytest.fixture(scope="module")
def detector():
    return FaceDetector()


def frame(left, top=40, size=240, mouth=0.0):
    picture = np.full((320, 640, 3), 128, np.uint8)
    picture[top : top + size, left : left + size] = drawn_face(size, mouth)
    return picture


def test_a_still_face_stands_still(detector):
    points = np.stack([p for p in FaceTracker(detector).follow([frame(100)] * 6) if p is not None])
    assert points.shape == (6, 478, 3)
    assert np.abs(points - points[0])[..., :2].max() < 1.0


def test_tracking_agrees_with_detection(detector):
    tracked = FaceTracker(detector).track(frame(200))
    (found,) = detector.detect(frame(200))
    assert tracked is not None
    assert np.abs(tracked - found.landmarks)[:, :2].mean() < 0.01 * found.size


@pytest.mark.parametrize("turn", [1.6, 3.0, 4.4])
def test_a_face_on_its_side_or_upside_down_is_followed(detector, turn):
    picture = limit_size(read_image(demo_inputs().portrait), 300)
    upright = FaceTracker(detector).track(picture)
    assert upright is not None
    height, width = picture.shape[:2]
    frame = CropFrame.around(FaceRect(np.array([width / 2, height / 2], np.float32), 400, turn), 400)
    turned = FaceTracker(detector).track(cut(picture, frame))
    assert turned is not None
    assert np.abs(turned[:, :2] - frame.points_to_crop(upright)[:, :2]).mean() < 1.5


def test_a_moving_face_is_followed(detector):
    lefts = range(20, 380, 30)
    points = list(FaceTracker(detector).follow(frame(left) for left in lefts))
    centers = np.array([p[:, 0].mean() for p in points if p is not None])
    assert len(centers) == len(lefts)
    np.testing.assert_allclose(np.diff(centers), 30, atol=2)


def test_the_mouth_is_seen_to_open(detector):
    gaps = [
        p[14, 1] - p[13, 1]
        for p in FaceTracker(detector).follow(frame(100, mouth=mouth) for mouth in (0.0, 0.5, 1.0))
        if p is not None
    ]
    assert gaps[0] + 3 < gaps[1] < gaps[2] - 3


def test_a_lost_face_is_none_and_is_found_again(detector):
    empty = np.full((320, 640, 3), 128, np.uint8)
    first, gone, back = FaceTracker(detector).follow([frame(40), empty, frame(360)])
    assert first is not None
    assert gone is None
    assert back is not None
    assert back[:, 0].mean() - first[:, 0].mean() == pytest.approx(320, abs=5)
