"""What surrounds the face turns with the head, the border stays, and what is hidden folds nothing."""

import pytest
import torch

from liveportrait.keypoints import rotation_matrix
from liveportrait.mini.edit import edit
from liveportrait.mini.face_model import HeadPose, embedded_face_model
from liveportrait.mini.head import AXIS, shift_about_axis, turned_head, unfold
from liveportrait.mini.prior_flow import FLOW_SIZE, prior_flow
from liveportrait.mini.raster import pixel_grid
from liveportrait.mini.regions import LIP_PAIRS
from liveportrait.mini.thin_plate import CONTROL_ROWS
from liveportrait.motion import Motion
from liveportrait.sliders import Sliders

EAR = 1  # row of the point beside the right ear


@pytest.fixture(scope="module")
def face():
    return embedded_face_model()


def turned(yaw, roll=0.0, scale=0.38):
    angles = (torch.tensor([value]) for value in (0.0, yaw, roll))
    return HeadPose(torch.full((1, 1), scale), rotation_matrix(*angles), torch.tensor([[0.0, -0.1, 0.0]]))


def posed(face, pose):
    return posed_points(face.mean[None], pose)


def posed_points(head, pose):
    return pose.scale[:, None] * (head @ pose.rotation) + pose.translation[:, None]


def areas(flow):
    """Return the area in the source of each pixel's square, in units of its own; negative where the flow folds."""
    across, down = (flow.diff(dim=axis) * FLOW_SIZE / 2 for axis in (2, 1))
    (a, b), (c, d) = across[0, :-1].unbind(-1), down[0, :, :-1].unbind(-1)
    return a * d - b * c


def test_a_head_at_rest_stays():
    before, after = turned_head(turned(10.0), turned(10.0))
    assert torch.equal(before, after)


def test_hair_and_ears_turn_less_than_the_nose(face):
    rest, other = turned(0.0), turned(-20.0)
    before, after = turned_head(rest, other)
    nose = (posed(face, other) - posed(face, rest))[0, :, 0].max()
    assert nose > 0.1
    assert after[0, EAR, 0] < before[0, EAR, 0]  # it lies behind the eyes, between which `turned` rotates


def test_points_at_the_border_stay():
    before, after = turned_head(turned(0.0, scale=2.0), turned(25.0, scale=2.0))
    outside = before.abs()[..., :2].amax(-1) > 1
    assert outside.any() and torch.equal(before[outside], after[outside])


@pytest.mark.parametrize(("own", "other"), [(0.0, 20.0), (0.0, -30.0), (10.0, 32.0)])
def test_a_turned_head_folds_nothing(face, own, other):
    flow = prior_flow(face, posed(face, turned(own)), posed(face, turned(other)))
    assert (areas(flow) < 0).float().mean() < 1e-3


def test_a_tilted_head_moves_no_neighbours(face):
    poses = turned(0.0, scale=0.2), turned(0.0, roll=80.0, scale=0.2)
    x_s, x_d = (posed(face, pose) for pose in poses)
    before, after = turned_head(*poses)
    points = torch.cat([x_d[:, CONTROL_ROWS], after], 1)
    assert torch.equal(unfold(torch.cat([x_s[:, CONTROL_ROWS], before], 1), points, *poses), points)


def test_the_axis_stays_where_a_head_turns():
    scale, before, after = torch.full((1, 1), 0.4), turned(5.0).rotation, turned(25.0, roll=9.0).rotation
    axis = torch.tensor(AXIS)
    shift = shift_about_axis(scale, before, after)
    torch.testing.assert_close(scale * (axis @ before), scale * (axis @ after) + shift)


def test_the_flow_of_a_head_at_rest_is_none(face):
    x = posed(face, turned(15.0))
    assert (prior_flow(face, x, x)[0] - pixel_grid(FLOW_SIZE, FLOW_SIZE)).abs().max() < 1e-3


@pytest.mark.parametrize("crossed", [0.0, 1e-3, 1e-2])
def test_lips_that_have_crossed_by_a_hair_part_without_being_pushed(face, crossed):
    pose, head = turned(0.0), face.mean[None]
    shut = head + face.move_lips(head, torch.full((1, len(LIP_PAIRS)), -crossed))
    motion = Motion(pose.rotation, (shut - face.mean) @ pose.rotation, pose.scale, pose.translation)
    keypoints = posed_points(shut, pose), edit(face, motion, Sliders(lip_ratio=0.5))
    around = turned_head(pose, pose)
    before, after = (torch.cat([x[:, CONTROL_ROWS], y], 1) for x, y in zip(keypoints, around, strict=True))
    assert (unfold(before, after, pose, pose) - after).abs().max() < 0.01
