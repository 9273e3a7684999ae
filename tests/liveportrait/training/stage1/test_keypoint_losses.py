"""The losses on keypoints and pose, on values worked out by hand."""

import math

import pytest
import torch

from liveportrait.keypoints import rotation_matrix
from liveportrait.training.stage1.keypoint_losses import (
    TARGET_DEPTH,
    deformation_prior,
    equivariance,
    guide,
    head_pose,
    keypoint_prior,
    landmark_flow,
    motion_balance,
    openness,
    wing,
)
from liveportrait.training.stage1.warps import RandomWarp


def shifted(x: float) -> RandomWarp:
    """A warp that moves every place by (x, 0)."""
    affine = torch.tensor([[[1.0, 0.0, x], [0.0, 1.0, 0.0]]])
    return RandomWarp(affine, torch.zeros(1, 2), torch.zeros(1, 1))


def test_keypoints_that_move_with_the_warp_cost_nothing():
    warped = torch.tensor([[[0.1, 0.2, 9.0]]])
    moved = torch.tensor([[[0.4, 0.2, -9.0]]])  # depth does not count
    assert equivariance(moved, warped, shifted(0.3)) == pytest.approx(0.0, abs=1e-7)
    assert equivariance(warped, warped, shifted(0.3)) == pytest.approx(0.15)  # 0.3 in x, 0 in y


def test_a_spline_bends_by_r_squared_log_r():
    warp = RandomWarp(torch.eye(2, 3)[None], torch.zeros(1, 2), torch.tensor([[0.5]]))
    r = 0.2 + 0.1  # L1 distance from the only centre
    bend = 0.5 * r * r * math.log(r + 1e-6)
    assert warp.points(torch.tensor([[[0.2, -0.1]]]))[0, 0].tolist() == pytest.approx([0.2 + bend, -0.1 + bend])


def test_a_warped_picture_shows_at_p_what_was_at_t_of_p():
    picture = torch.zeros(1, 3, 8, 8)
    picture[..., 2, 5] = 1  # centre at x = 0.375, y = -0.375
    assert shifted(0.25).picture(picture)[0, 0, 2].tolist() == [0, 0, 0, 0, 1, 0, 0, 0]


def test_warps_depend_on_their_seed_alone():
    one, other = (RandomWarp.draw(2, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one.affine, other.affine) and torch.equal(one.strengths, other.strengths)


def test_near_keypoints_repel_each_other():
    x = torch.tensor([[[0.0, 0.0, TARGET_DEPTH], [0.2, 0.0, TARGET_DEPTH], [2.0, 0.0, TARGET_DEPTH]]])
    # One pair is near, counted in both orders: 2 · (0.1 − 0.2²).
    assert keypoint_prior(x) == pytest.approx(2 * (0.1 - 0.04))
    assert keypoint_prior(x, guided=(0, 1)) == pytest.approx(0.0)
    assert keypoint_prior(x, guided=(0, 2)) == pytest.approx(2 * (0.1 - 0.04))


def test_keypoints_keep_their_mean_depth():
    x = torch.tensor([[[0.0, 0.0, 0.0], [2.0, 0.0, 1.0]]])
    assert keypoint_prior(x) == pytest.approx(0.5 - TARGET_DEPTH)


def test_head_pose_is_the_mean_angle_in_radians():
    target = rotation_matrix(torch.tensor([10.0]), torch.tensor([-20.0]), torch.tensor([5.0]))
    assert head_pose(torch.tensor([[10.0, -20.0, 5.0]]), target) == pytest.approx(0.0, abs=1e-5)
    assert head_pose(torch.tensor([[13.0, -26.0, 5.0]]), target) == pytest.approx(math.radians(3), abs=1e-5)


def test_the_deformation_prior_is_the_mean_length_of_an_offset():
    assert deformation_prior(torch.tensor([[[0.1, -0.2, 0.3], [0.0, 0.0, 0.0]]])) == pytest.approx(0.3)


def test_wing_is_logarithmic_near_zero_and_straight_farther_away():
    near, at, far, farther = wing(torch.tensor([0.01, 0.1, 0.2, -0.3])).tolist()
    assert near == pytest.approx(0.1 * math.log(2))
    assert at == pytest.approx(0.1 * math.log(11))
    assert far - at == pytest.approx(0.1) and farther - far == pytest.approx(0.1)


def test_guided_keypoints_follow_their_landmarks():
    x = torch.tensor([[[9.0, 9.0, 9.0], [0.5, 0.5, 7.0]]])
    marks_s, marks_d = torch.tensor([[[0.5, 0.5]]]), torch.tensor([[[0.51, 0.5]]])
    # One landmark, 1/2N · Σ over source and driving of the sum over x and y: half of Wing(0.01).
    assert guide(x, x, marks_s, marks_d, (1,)) == pytest.approx(0.5 * 0.1 * math.log(2), rel=1e-4)


def test_lids_are_as_far_apart_as_their_landmarks_wherever_they_are():
    x = torch.tensor([[[0.1, 0.2, 5.0], [0.1, 0.25, 7.0]]])
    above, below = torch.tensor([[[0.7, 0.6]]]), torch.tensor([[[0.7, 0.65]]])
    assert openness(x, above, below, (0,), (1,)) == pytest.approx(0.0, abs=1e-5)
    assert openness(x, above, below + 0.01, (0,), (1,)) == pytest.approx(2 * 0.1 * math.log(2), rel=1e-4)


def test_the_warp_takes_landmarks_from_where_the_source_has_them():
    shift = torch.zeros(1, 2, 4, 4, 3)
    shift[0, :, 1, 1, :2] = torch.tensor([0.25, -0.5])  # the voxels in the middle of which x = y = -0.25
    shift[0, 1, 1, 1, 0] = 0.75  # another depth
    shift[..., 2] = 9  # does not count
    driving = torch.tensor([[[-0.25, -0.25], [0.25, 0.25]]])
    wrong, apart = (0.25 + 0.5 + 0.75 + 0.5) / 8, (0.25 + 0.5 + 0.75 + 0.5) / 4
    assert landmark_flow(shift, driving, driving, [0], [1]) == pytest.approx(wrong + apart)
    source = driving + torch.tensor([[[0.25, -0.5], [0.0, 0.1]]])
    wrong, apart = (0.5 + 0.1 + 0.1) / 8, (0.5 + 0.1 + 0.1) / 4
    assert landmark_flow(shift, source, driving, [0], [1]) == pytest.approx(wrong + apart)


def test_motions_that_are_used_equally_cost_nothing_and_a_single_one_most():
    assert motion_balance(torch.full((4,), 0.25)) == pytest.approx(0.0, abs=1e-6)
    assert motion_balance(torch.tensor([0.5, 0.5, 0.0, 0.0])) == pytest.approx(math.log(2), rel=1e-5)
    assert motion_balance(torch.tensor([0.0, 0.0, 1.0, 0.0])) == pytest.approx(math.log(4), rel=1e-5)
