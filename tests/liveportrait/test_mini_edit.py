"""Sliders on the embedded model: each moves what it names, by what it says, and nothing at zero."""

from dataclasses import replace

import pytest
import torch

from liveportrait import LivePortrait, Motion, PortraitError
from liveportrait.keypoints import euler_degrees, transform_keypoints
from liveportrait.mini.edit import edit
from liveportrait.mini.face_model import eye_ratio, lip_ratio
from liveportrait.mini.gaze import CORNER, EYEBALL_RADIUS, along_eye
from liveportrait.mini.head import AXIS
from liveportrait.mini.regions import KEYPOINTS, LEFT_BROW, LEFT_EYE_CORNERS, LEFT_IRIS, MOUTH_CORNERS, rows
from liveportrait.sliders import Sliders


@pytest.fixture(scope="module")
def face():
    return LivePortrait.from_pretrained("mini").renderer.face


@pytest.fixture
def rest():
    return Motion.still(1, len(KEYPOINTS))


def test_sliders_at_zero_change_nothing(face, rest):
    assert torch.allclose(edit(face, rest, Sliders()), transform_keypoints(face.mean[None], rest), atol=1e-5)


def test_a_smile_lifts_and_widens_the_mouth(face, rest):
    change = edit(face, rest, Sliders(smile=1.0))[0] - face.mean
    left, right = change[rows(MOUTH_CORNERS)]
    assert left[0] < -0.02 < 0.02 < right[0] and left[1] < -0.02 and right[1] < -0.02
    assert edit(face, rest, Sliders(smile=-0.3))[0, rows(MOUTH_CORNERS)[0], 1] > face.mean[rows(MOUTH_CORNERS)[0], 1]


@pytest.mark.parametrize("smile", [-1.3, 0.6, 1.3])
def test_closed_lips_do_not_cross_in_a_smile(face, rest, smile):
    closed = replace(rest, expression=face.close_lips(face.mean[None]) - face.mean)
    assert face.lip_gaps(edit(face, closed, Sliders(smile=smile))).min() > -1e-3


def test_openness_is_reached(face, rest):
    assert torch.allclose(eye_ratio(edit(face, rest, Sliders(eye_ratio=0.1))), torch.tensor(0.1), atol=0.03)
    assert float(lip_ratio(edit(face, rest, Sliders(lip_ratio=0.4)))) == pytest.approx(0.4, abs=0.08)
    winking = eye_ratio(edit(face, rest, Sliders(wink=39.0)))[0]
    assert winking[0] < 0.08 and winking[1] == pytest.approx(float(eye_ratio(face.mean[None])[0, 1]), abs=0.02)


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.3, 0.6, 0.8])
def test_lips_of_any_face_open_as_faces_do(face, rest, ratio):
    """Smiles and crooked mouths reach the openness with a likely displacement; it does not grow without bounds."""
    shapes = face.express(torch.randn(12, len(face.expression_basis), generator=torch.Generator().manual_seed(1)))
    heads = face.mean + shapes
    heads = heads + face.move_lips(heads, face.lip_gaps(heads).clamp_min(0))  # as any picture shows them
    for shape in heads - face.mean:
        source = replace(rest, expression=shape[None])
        moved = edit(face, source, Sliders(lip_ratio=ratio))
        assert float(lip_ratio(moved)) == pytest.approx(ratio, abs=0.05)
        assert float((moved - face.mean - shape).abs().max()) < 0.5
        nearly = edit(face, source, Sliders(lip_ratio=float(lip_ratio(face.mean + shape[None]))))
        assert torch.allclose(nearly, face.mean + shape, atol=1e-3)  # the openness it has


def test_brows_gaze_and_head(face, rest):
    raised = edit(face, rest, Sliders(eyebrow=30.0))[0] - face.mean
    assert raised[rows(LEFT_BROW), 1].mean() < -0.03
    right_and_up = edit(face, rest, Sliders(gaze_x=20.0, gaze_y=20.0))[0] - face.mean
    assert (right_and_up[rows(LEFT_IRIS), 0] > 0.03).all() and (right_and_up[rows(LEFT_IRIS), 1] < -0.01).all()
    posed = edit(face, rest, Sliders(yaw_deg=12.0, zoom=1.1, move_x=0.1, move_y=0.05))
    pose = face.pose(posed)
    assert float(euler_degrees(pose.rotation)[1]) == pytest.approx(12.0, abs=0.1)
    assert float(pose.scale) == pytest.approx(1.1, abs=1e-3)
    axis = torch.tensor(AXIS)
    moved = pose.translation[0] + axis @ pose.rotation[0] - axis  # about what the head turned
    assert moved[:2].tolist() == pytest.approx([-0.1, 0.05], abs=1e-3)


@pytest.mark.parametrize(("right", "up"), [(30.0, 0.0), (-30.0, 0.0), (0.0, 63.0), (0.0, -63.0), (30.0, -63.0)])
def test_irises_of_turned_eyes_can_still_be_seen(face, rest, right, up):
    """Eyes turn towards corners and lids, not beyond; a small turn is followed in full."""
    begun, head = (edit(face, rest, Sliders(gaze_x=x, gaze_y=y)) for x, y in ((0.0, 0.0), (right, up)))
    place, _ = along_eye(head, LEFT_EYE_CORNERS, LEFT_IRIS[0])
    iris, upper, lower = (head[0, row, 1] for row in rows((LEFT_IRIS[0], 159, 145)))
    assert CORNER - 1e-4 <= place <= 1 - CORNER + 1e-4 and upper < iris < lower
    less = edit(face, rest, Sliders(gaze_x=0.2 * right, gaze_y=0.2 * up)) - begun
    asked = EYEBALL_RADIUS * torch.deg2rad(torch.tensor([0.2 * right, -0.1 * up])).sin()
    assert torch.allclose(less[0, rows(LEFT_IRIS), :2], asked.expand(5, 2), atol=1e-4)


@pytest.mark.parametrize("name", ["pout", "purse", "grin", "mouth"])
def test_sliders_of_the_official_models_are_refused(face, rest, name):
    with pytest.raises(PortraitError, match=f"no slider {name}"):
        edit(face, rest, Sliders(**{name: 1.0}))
