"""Where a source's crop lies: by its face, by a box, or as the picture is; and how large it is."""

from dataclasses import replace

import numpy as np
import pytest
from drawn_face import drawn_face
from fake_models import GrayPortrait, mesh_at

from liveportrait import LivePortrait
from liveportrait.mini.model import LOST_DETAIL
from liveportrait.official import OfficialPortrait
from liveportrait.training.sizes import SIZES
from talkinghead import CropOptions
from talkinghead.driver.driver import drive_crop
from talkinghead.driver.options import DriveOptions
from talkinghead.errors import OptionError
from talkinghead.face import Face, FaceDetector, NoFaceError, frame_face
from talkinghead.source.framing import frame_around, frame_sources


class Model(GrayPortrait):
    def __init__(self, needs_landmarks=True, strict=True):
        super().__init__()
        self.needs_landmarks, self.extracts_from_landmarks = needs_landmarks, strict


MINI, BASE, ANIMALS = Model(), Model(strict=False), Model(needs_landmarks=False, strict=False)


class Detector:
    """Finds faces wherever a picture has a white pixel."""

    def detect(self, picture, *, thorough=True, threshold=0.75):
        ys, xs = np.nonzero(picture[..., 0] == 255)
        return [Face(mesh_at(x, y, 60.0), 60.0, 0.9) for x, y in sorted(zip(xs, ys, strict=True))]


def scene(*points, size=(200, 300)):
    picture = np.zeros((*size, 3), np.uint8)
    for x, y in points:
        picture[y, x] = 255
    return picture


def frame(picture, model, shrunk=1.0, **options):
    return frame_sources(picture, "cat.jpg", model, Detector(), CropOptions(**options), [None], shrunk)[0]


def corners(frame):
    """Return the outer edges (left, top, right, bottom) of an upright crop in the picture."""
    points = frame.points_to_image(np.array([[-0.5, -0.5], [frame.size - 0.5, frame.size - 0.5]], np.float32))
    return (points + 0.5).ravel().round(2).tolist()


def test_a_box_holds_the_face_that_counts():
    picture = scene((50, 100), (220, 120))
    found = frame(picture, MINI, box="150,0,150,200")
    assert found.landmarks[:, 0].mean() == pytest.approx(220, abs=3)
    assert found.landmarks[:, 1].mean() == pytest.approx(120, abs=3)
    half = frame(picture, MINI, shrunk=0.5, box="300,0,300,400")  # the user's pixels are those of the file
    np.testing.assert_allclose(half.landmarks, found.landmarks)


def test_a_box_without_a_face_is_the_crop_itself_unless_landmarks_are_needed():
    for model in (BASE, ANIMALS):
        found = frame(scene(), model, box="20,30,100,100")
        assert found.landmarks is None and corners(found.frame) == [20, 30, 120, 130]
    with pytest.raises(NoFaceError, match=r"cat\.jpg: no face found in the chosen part.*--model animals"):
        frame(scene(), MINI, box="20,30,100,100")
    for model in (BASE, ANIMALS):
        with pytest.raises(NoFaceError, match=r"cat\.jpg: no face.*--box"):
            frame(scene(), model)


def test_animals_are_not_detected_in_a_box():
    assert corners(frame(scene((60, 60)), ANIMALS, box="20,30,100,100").frame) == [20, 30, 120, 130]


def test_the_picture_itself_may_be_the_crop():
    found = frame(scene((150, 100)), MINI, whole_picture_as_face=True)
    assert corners(found.frame) == [0, -50, 300, 250] and found.landmarks is not None
    assert frame(scene((150, 100)), ANIMALS, whole_picture_as_face=True).landmarks is None
    assert corners(frame(scene((150, 100)), BASE, whole_picture_as_face=True, box="10,20,80,40").frame) == [
        10,
        0,
        90,
        80,
    ]


@pytest.mark.parametrize("box", ["400,0,50,50", "-60,0,50,50"])
def test_a_box_beside_the_picture(box):
    with pytest.raises(OptionError, match=r"cat\.jpg: --box lies outside the picture, which has 300×200 pixels"):
        frame(scene(), ANIMALS, box=box)


@pytest.mark.parametrize("box", ["1,2,3", "a,b,c,d", "0,0,0,10", "0,0,nan,5", ""])
def test_what_is_no_box(box):
    with pytest.raises(OptionError, match="X,Y,WIDTH,HEIGHT"):
        CropOptions(box=box)


def test_scale_and_offsets_move_the_crop():
    points = mesh_at(150, 100, 60.0)
    usual, wide = (frame_around(points, (200, 300), MINI, CropOptions(crop_scale=scale)) for scale in (2.3, 3.0))
    assert wide.zoom / usual.zoom == pytest.approx(2.3 / 3.0, rel=1e-4)
    assert frame_around(points, (200, 300), MINI, CropOptions()).zoom == usual.zoom
    close = OfficialPortrait(replace(SIZES["tiny"], crop_scale=1.6), needs_landmarks=True)
    trained = frame_around(points, (200, 300), close, CropOptions())  # as large as the pictures that it was trained on
    assert trained.zoom / trained.size == pytest.approx(usual.zoom / usual.size * 2.3 / 1.6, rel=1e-4)
    rules = [
        drive_crop(DriveOptions(driver_scale=scale), model)
        for scale, model in ((None, MINI), (None, close), (3, close))
    ]
    assert [rule.scale for rule in rules] == pytest.approx([2.2, 2.2 * 1.6 / 2.3, 3])
    right = frame_around(points, (200, 300), MINI, CropOptions(crop_x=0.1))
    moved = usual.points_to_crop(right.points_to_image(np.array([[0, 0]], np.float32)))
    np.testing.assert_allclose(moved, [[0.1 * usual.size, 0]], atol=0.05)


def test_mini_takes_large_faces_in_larger_crops():
    model = LivePortrait.from_pretrained("mini")
    assert [model.crop_side(pixels) for pixels in (100, 512, 527, 529, 800, 5000)] == [512, 512, 512, 544, 800, 1024]
    points = mesh_at(600, 600, 300.0)
    covered = 512 / frame_face(points).zoom
    shape, wide = (1200, 1200), CropOptions(face_only=True, size=2000)
    assert frame_around(points, shape, model, CropOptions()).size == model.crop_side(covered) > 512
    assert frame_around(points, shape, model, CropOptions(face_only=True)).size == 512
    assert frame_around(points, shape, model, wide).size == model.crop_side(covered)


def test_a_face_whose_crop_is_shrunk_into_the_picture_is_rendered_as_large_as_it_is_shown():
    model, points = LivePortrait.from_pretrained("mini"), mesh_at(250, 250, 300.0)
    found = frame_around(points, (500, 500), model, CropOptions(face_only=True, size=400))
    shown = found.size * found.zoom / found.inside((500, 500)).zoom
    assert found.size > 512 and (1 - LOST_DETAIL) * 400 <= shown < 440


def test_a_drawn_face_is_found_inside_its_box():
    picture = np.full((300, 600, 3), 128, np.uint8)
    picture[30:270, 30:270], picture[50:250, 350:550] = drawn_face(240), drawn_face(200)
    options = CropOptions(box="320,20,260,260")
    (found,) = frame_sources(picture, "two.png", MINI, FaceDetector(), options, [None])
    assert 400 < found.landmarks[:, 0].mean() < 500
