"""Following a face: steady, quick to move with it, honest when it is gone."""

from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from drawn_face import drawn_face
from made_up_mesh import mesh_points

from talkinghead.cli.demo import demo_inputs
from talkinghead.face import track
from talkinghead.face.crop import CropFrame, FaceRect, cut, face_rect
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


def test_an_opening_mouth_is_tracked(detector):
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


RED, GREEN = (230, 60, 60), (60, 230, 60)


def disc(x, y, size, color):
    """Draw a face as a coloured disc with eyes on grey."""
    picture = np.full((240, 480, 3), 128, np.uint8)
    cv2.circle(picture, (x, y), size // 2, color, -1)
    for side in (-1, 1):
        cv2.circle(picture, (x + side * size // 5, y - size // 6), size // 10, (20, 20, 20), -1)
    return picture


def disc_points(picture):
    """Return landmarks on the disc in a picture, or None."""
    ys, xs = np.nonzero(np.ptp(picture.astype(int), axis=2) > 60)
    if not len(xs):
        return None
    width = float(np.ptp(xs)) + 1
    return mesh_points(width, (xs.min() + width / 2, ys.min() + 0.4 * width))


class DiscMesh:
    """Stands in for MediaPipe's mesh: fits any disc."""

    track = settle = staticmethod(disc_points)


@dataclass
class DiscFace:
    landmarks: np.ndarray
    size: float = 1.0


class DiscDetector:
    @staticmethod
    def detect(picture, *, thorough):
        points = disc_points(picture)
        return [] if points is None else [DiscFace(points)]


class BlindDetector:
    @staticmethod
    def detect(picture, *, thorough):
        return []


def follow_discs(monkeypatch, detector, *pictures):
    """Return where and how large the tracker sees a face, (x, size), or None; the first picture says whose."""
    monkeypatch.setattr(track, "FaceMesh", DiscMesh)
    tracker = FaceTracker(detector)
    points = disc_points(pictures[0])
    assert points is not None
    tracker.start(pictures[0], points)
    rects = [None if p is None else face_rect(p, 1.0, 0.0) for p in tracker.follow(pictures[1:])]
    return [rect and (round(float(rect.center[0])), round(rect.size)) for rect in rects]


@pytest.mark.parametrize("other", [(210, 120, 60), (150, 120, 116)], ids=["one face further", "twice as large"])
def test_the_mesh_does_not_jump_to_somebody_else(monkeypatch, other):
    """Where the one who is followed goes, somebody else stands nearby or is nearer to the camera."""
    me = disc(150, 120, 60, RED)
    gone, back = follow_discs(monkeypatch, DiscDetector(), me, disc(*other, color=GREEN), me)
    assert gone is None
    assert back == pytest.approx((150, 60), abs=2)


def test_a_quick_move_is_followed_by_the_mesh_alone(monkeypatch):
    moves = [(150, 120, 60), (174, 120, 60), (174, 120, 80), (150, 120, 60)]
    seen = follow_discs(monkeypatch, BlindDetector(), *(disc(*move, color=RED) for move in moves))
    assert seen == [pytest.approx((x, size), abs=2) for x, _, size in moves[1:]]
