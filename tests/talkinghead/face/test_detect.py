"""Faces: found where they are, not where they are not, and counted from the left."""

import subprocess
import sys

import numpy as np
import pytest
from drawn_face import drawn_face

from liveportrait import PortraitError
from talkinghead.face.crop import CropFrame, FaceRect, cut, face_rect
from talkinghead.face.detect import MIN_FACE_SIZE, Face, FaceDetector, _matches, choose_face
from talkinghead.face.errors import FaceIndexError, FaceTooSmallError, NoFaceError
from talkinghead.face.landmarks import Detection
from talkinghead.media.image import read_image

EYE_CENTERS, MOUTH_CENTER = (468, 473), (13, 14)


@pytest.fixture(scope="module")
def detector():
    return FaceDetector()


def scene(*places, height=400, width=700):
    """A grey picture with drawn faces; each place is (left, top, size)."""
    picture = np.full((height, width, 3), 128, np.uint8)
    for left, top, size in places:
        picture[top : top + size, left : left + size] = drawn_face(size)
    return picture


def face(size, x=100.0):
    landmarks = np.full((478, 3), x, np.float32)
    return Face(landmarks, size, 0.9)


def test_landmarks_lie_on_the_face(detector):
    (found,) = detector.detect(drawn_face(512))
    assert found.score < 0.99 and detector.detect(drawn_face(512), thorough=False, threshold=0.99 + 0.05) == []
    eyes, mouth = found.landmarks[list(EYE_CENTERS), :2], found.landmarks[list(MOUTH_CENTER), :2].mean(axis=0)
    np.testing.assert_allclose(eyes, [(214, 245), (298, 245)], atol=6)
    np.testing.assert_allclose(mouth, (256, 338), atol=8)
    assert found.landmarks.shape == (478, 3)
    assert found.landmarks.dtype == np.float32
    assert found.size == pytest.approx(0.38 * 512, rel=0.1)


def test_landmarks_do_not_depend_on_where_the_face_is(detector):
    (alone,), (placed,) = detector.detect(drawn_face(256)), detector.detect(scene((391, 97, 256)))
    difference = placed.landmarks[:, :2] - (391, 97) - alone.landmarks[:, :2]
    assert np.abs(difference).mean() < 0.01 * alone.size


@pytest.mark.parametrize("turn", [0.6, np.pi / 2, 2.4, np.pi, -2.1, -1.0])
def test_turned_faces(detector, turn):
    picture = drawn_face(300)
    (upright,) = detector.detect(picture)
    frame = CropFrame.around(FaceRect(np.array([150, 150], np.float32), 300, turn), 300)
    (turned,) = detector.detect(cut(picture, frame))
    expected = frame.points_to_crop(upright.landmarks)[:, :2]
    assert np.abs(turned.landmarks[:, :2] - expected).mean() < 0.02 * upright.size


class Doubtful:
    """Sees a face that is upside down as an upright one, but surer where it is upright in the view."""

    def __init__(self, turned):
        self.turned = turned

    def find(self, view):
        middle = (len(view) - 1) / 2
        ys, xs = np.nonzero(view[..., 0] > 128)  # the chin
        if not len(xs):
            return []
        upright = ys.mean() > middle + 20
        rect = FaceRect(np.array([middle, middle], np.float32), len(view) / 3, 0.0)
        return [Detection(rect, 0.95 if upright else self.turned)]


@pytest.mark.parametrize(("turned", "angle"), [(0.8, np.pi), (0.93, 0.0)])
def test_a_face_is_detected_in_all_orientations_before_the_mesh_is_fitted(detector, monkeypatch, turned, angle):
    monkeypatch.setattr(detector, "_boxes", Doubtful(turned))
    picture = np.zeros((300, 300, 3), np.uint8)
    picture[100:115, 140:160] = 255
    seen = Detection(FaceRect(np.array([149.5, 149.5], np.float32), 100.0, 0.0), turned)
    found = detector._upright(picture, seen).angle
    assert np.cos(found - angle) == pytest.approx(1, abs=1e-3)


def test_a_mesh_whose_eyes_lie_at_the_chin_does_not_match():
    middle = np.array([50, 50], np.float32)
    assert _matches(FaceRect(middle, 40, 1.2), FaceRect(middle, 40, 0.0))
    assert not _matches(FaceRect(middle, 40, 3.0), FaceRect(middle, 40, 0.0))
    assert not _matches(FaceRect(middle + 60, 40, 0.0), FaceRect(middle, 40, 0.0))


def test_several_faces_come_from_left_to_right(detector):
    faces = detector.detect(scene((10, 60, 190), (220, 150, 240), (480, 20, 200)))
    assert len(faces) == 3
    xs = [found.landmarks[:, 0].mean() for found in faces]
    np.testing.assert_allclose(xs, [105, 340, 580], atol=15)
    assert choose_face(faces) is faces[1]


def test_a_small_face_in_a_large_picture(detector):
    (found,) = detector.detect(scene((1500, 900, 120), height=1200, width=2000))
    np.testing.assert_allclose(found.landmarks[:, :2].mean(axis=0), (1560, 965), atol=10)


@pytest.mark.parametrize("picture", [np.zeros((1, 1, 3), np.uint8), np.full((300, 500, 3), 200, np.uint8)])
def test_nothing_is_found_in_nothing(detector, picture):
    assert detector.detect(picture) == []


def test_nothing_is_found_in_noise(detector):
    assert detector.detect(np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)) == []


def test_a_face_that_is_too_small_is_named_so(detector):
    faces = detector.detect(drawn_face(60))
    with pytest.raises(FaceTooSmallError, match=r"me.png: the face measures 2\d pixels .* at least 32"):
        choose_face(faces, name="me.png")
    with pytest.raises(FaceTooSmallError, match=r"it has 1\d\d before --size shrinks the picture"):
        choose_face(faces, name="me.png", shrunk=0.2)


def test_no_face():
    with pytest.raises(NoFaceError, match=r"truck.jpg: no face found"):
        choose_face([], name="truck.jpg")


def test_numbers_count_from_zero_at_the_left():
    faces = [face(50, x=10.0), face(90, x=200.0)]
    assert choose_face(faces, 0) is faces[0]
    assert choose_face(faces, 1) is faces[1]


@pytest.mark.parametrize("number", [2, 7, -1])
def test_a_number_without_a_face(number):
    with pytest.raises(FaceIndexError, match=f"no face {number}; 2 faces found"):
        choose_face([face(50), face(60)], number)


def test_faces_too_small_to_animate_are_not_counted():
    faces = [face(MIN_FACE_SIZE - 1.0), face(80)]
    assert choose_face(faces, 0) is faces[1]
    with pytest.raises(FaceIndexError, match="1 face found"):
        choose_face(faces, 1)


@pytest.mark.parametrize("error", [NoFaceError, FaceTooSmallError, FaceIndexError])
def test_errors_are_the_user_s(error):
    assert issubclass(error, PortraitError)


def test_importing_the_package_loads_no_model():
    code = "import sys, talkinghead.face; print([m for m in ('mediapipe', 'cv2', 'torch') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("p01_man.png", 1),
        ("p03_painting.jpg", 1),
        ("p04_anime.png", 1),
        ("p05_anime_alpha.png", 1),
        ("p06_photo_alpha.png", 1),
        ("p07_exif_rotated.jpg", 1),
        ("p08_two_faces.jpg", 2),
        ("p09_profile.jpg", 1),
        ("p10_no_face.jpg", 0),
        ("p11_tiny.png", 1),
        ("p12_group.jpg", 6),
        ("p13_cat.jpg", 0),
        ("p14_grayscale.jpg", 1),
    ],
)
def test_real_pictures(detector, shared, name, count):
    faces = detector.detect(read_image(shared / "data" / "inputs" / "portraits" / name))
    assert len(faces) == count
    for found in faces:
        assert choose_face([found]) is found
        assert face_rect(found.landmarks, 1.0).size == pytest.approx(found.size)
