"""Spline, masks and patches of the embedded model: worked numbers and round trips."""

import pytest
import torch

from liveportrait.mini.face_model import HeadPose
from liveportrait.mini.logarithm import fast_log
from liveportrait.mini.patches import (
    MOUTH,
    RIGHT_EYE_PATCH,
    parted,
    paste_patch,
    patch_frame,
    patch_points,
    shown_share,
    to_patch,
)
from liveportrait.mini.raster import (
    _segment_distances,
    _squared_distances,
    disc_mask,
    pixel_grid,
    polygon_masks,
    signed_distances,
)
from liveportrait.mini.regions import KEYPOINTS, LIPS_INNER, MOUTH_CORNERS, rows
from liveportrait.mini.thin_plate import CONTROL_ROWS, backward_flow

SQUARE = torch.tensor([[[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]])


@pytest.fixture
def x_s():
    return torch.empty(1, len(KEYPOINTS), 3).uniform_(-0.5, 0.5, generator=torch.Generator().manual_seed(0))


def test_same_keypoints_leave_the_picture_alone(x_s):
    grid = pixel_grid(16, 16)
    assert torch.equal(backward_flow(x_s, x_s, grid)[0], grid)


@pytest.mark.parametrize("count", [1, 3])
def test_the_spline_sends_driving_keypoints_to_source_keypoints(x_s, count):
    x_d = x_s.repeat(count, 1, 1) * 1.1 + 0.02
    flow = backward_flow(x_s, x_d, x_d[0, CONTROL_ROWS, :2])
    assert flow.shape == (count, len(CONTROL_ROWS), 2)
    assert (flow[0] - x_s[0, CONTROL_ROWS, :2]).abs().max() < 5e-3


def test_the_border_stays(x_s):
    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [0.0, 1.0]])
    assert (backward_flow(x_s, x_s + 0.1, corners)[0] - corners).abs().max() < 5e-3


def test_signed_distances_inside_and_outside_a_square():
    x, y = torch.tensor([0.0, 0.4, 0.8]), torch.tensor([0.0, 0.7, 0.9])
    points = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None]
    distances = signed_distances([SQUARE], points, torch.tensor([9.0]))[0, 0]
    expected = [[0.5, 0.1, -0.3], [-0.2, -0.2, -(0.13**0.5)], [-0.4, -0.4, -0.5]]
    torch.testing.assert_close(distances, torch.tensor(expected), atol=1e-5, rtol=0)


def test_logarithms_are_those_of_pytorch():
    values = torch.logspace(-12, 12, 500)[None]
    assert (fast_log(values) - values.log()).abs().max() < 1e-5
    assert fast_log(values.clone().requires_grad_()).requires_grad
    assert fast_log(values.double()).dtype == torch.float64


def test_distances_are_exact_up_to_their_reach():
    points = pixel_grid(32, 32)[None].expand(2, -1, -1, -1)
    polygons = [torch.cat([SQUARE, 0.3 * SQUARE + 0.9]), torch.cat([4 * SQUARE, SQUARE + 5.0])]  # one leaves the grid
    whole = signed_distances(polygons, points, torch.tensor([99.0]))
    near = signed_distances(polygons, points, torch.tensor([0.2, 0.1]))
    assert whole[1, 1].max() < -3.5  # far from all of it
    for frame, reach in enumerate((0.2, 0.1)):
        torch.testing.assert_close(near[frame], whole[frame].clamp(-reach, reach))


def test_masks_are_exact_far_from_the_outline():
    mask = polygon_masks([SQUARE], 64, 0.01)[0, 0]
    assert set(mask[[0, 32], [0, 32]].tolist()) == {0.0, 1.0}


def test_lips_are_parted_as_far_as_their_neighbours():
    masks = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.max_pool2d((2 * masks[:, :1] - 1).clamp_min(0), 3, 1, 1)
    assert torch.equal(parted(masks), expected)


def test_polygon_masks_are_soft_at_the_outline_only():
    mask = polygon_masks([SQUARE], 32, 0.02)[0, 0]
    assert mask[16, 16] > 0.99
    assert mask[2, 2] < 0.01
    assert mask.mean() == pytest.approx(0.25, abs=0.02)


def test_disc_mask_has_the_discs_area():
    mask = disc_mask(torch.zeros(1, 2), torch.tensor([0.5]), 64, 0.01)
    assert mask.mean() == pytest.approx(torch.pi * 0.25 / 4, abs=0.01)


def upright(scale: float = 0.4) -> HeadPose:
    return HeadPose(torch.tensor([[scale]]), torch.eye(3)[None], torch.tensor([[0.1, -0.2, 0.0]]))


def test_patch_frame_sits_where_the_pose_puts_it():
    frame = patch_frame(MOUTH, upright())
    assert frame[0, :, 2].tolist() == pytest.approx([0.1, -0.2 + 0.4 * 1.36], abs=1e-6)
    assert frame[0, :, :2].flatten().tolist() == pytest.approx([0.32, 0, 0, 0.32], abs=1e-6)


def test_the_right_eye_is_seen_mirrored():
    frame = patch_frame(RIGHT_EYE_PATCH, upright())
    assert frame[0, 0, 0] < 0 < frame[0, 1, 1]


def test_to_patch_undoes_patch_points():
    frame = patch_frame(MOUTH, upright())
    assert torch.allclose(to_patch(frame, patch_points(frame, 8))[0], pixel_grid(8, 8), atol=1e-5)


def test_a_change_lands_under_its_patch_and_nowhere_else():
    crop, frame = torch.zeros(1, 3, 128, 128), patch_frame(MOUTH, upright())
    ramp = pixel_grid(96, 96)[..., 0].expand(1, 3, -1, -1)
    paste_patch(crop, frame, ramp, torch.zeros(1, 1, 96, 96))
    inside = to_patch(frame, pixel_grid(128, 128)[None])[0]
    inner, outer = (inside.abs() < 0.95).all(-1), (inside.abs() > 1.05).any(-1)
    assert torch.allclose(crop[0, 0][inner], inside[..., 0][inner], atol=0.02)
    assert crop[0, :, outer].abs().max() == 0


def test_a_patch_outside_the_crop_is_ignored():
    crop = torch.zeros(1, 3, 32, 32)
    far = torch.tensor([[[0.1, 0.0, 5.0], [0.0, 0.1, 5.0]]])
    paste_patch(crop, far, torch.ones(1, 3, 8, 8), torch.ones(1, 1, 8, 8))
    assert crop.abs().max() == 0


def test_an_inside_is_shown_as_far_as_the_source_was_open():
    wide = torch.rand(1, len(KEYPOINTS), 3, generator=torch.Generator().manual_seed(0))
    angle = torch.linspace(0, 2 * torch.pi, len(LIPS_INNER) + 1)[:-1]
    wide[:, rows(LIPS_INNER), :2] = 0.1 * torch.stack([angle.cos(), angle.sin()], -1)
    wide[:, rows(MOUTH_CORNERS), :2] = torch.tensor([[0.1, 0.0], [-0.1, 0.0]])

    def opened(share: float) -> torch.Tensor:
        return wide * torch.tensor([1.0, share, 1.0])

    shares = [shown_share(MOUTH, opened(source), opened(1.0)).item() for source in (0.0, 0.25, 0.5, 2.0)]
    assert shares == pytest.approx([0.0, 0.5, 1.0, 1.0], abs=1e-3)
    hardly = [shown_share(MOUTH, opened(0.05), opened(0.05 / ratio)).item() for ratio in (0.25, 0.5, 1.0)]
    assert hardly == pytest.approx([0.0, 0.5, 1.0], abs=1e-3)
    assert shown_share(MOUTH, wide, wide.repeat(3, 1, 1)).shape == (3, 1, 1, 1)


def test_a_veil_hides_detail_that_is_finer_than_the_patch():
    checks = (torch.arange(128)[:, None] + torch.arange(128)) % 2
    crop, frame = checks.float().expand(1, 3, -1, -1).clone(), patch_frame(MOUTH, upright())
    paste_patch(crop, frame, torch.full((1, 3, 24, 24), 0.25), torch.ones(1, 1, 24, 24))
    inside = (to_patch(frame, pixel_grid(128, 128)[None])[0].abs() < 0.9).all(-1)
    assert torch.allclose(crop[0, :, inside], torch.tensor(0.25))


def test_lips_that_are_shut_already_stay_shut_in_the_spline():
    shut = torch.rand(1, len(KEYPOINTS), 3, generator=torch.Generator().manual_seed(0))
    shut[:, rows(LIPS_INNER)] = shut[:, rows(LIPS_INNER)].mean(1, keepdim=True)
    grid = pixel_grid(16, 16)
    assert torch.equal(backward_flow(shut, shut, grid)[0], grid)


def test_splines_of_a_batch_are_those_of_its_members_whatever_the_threads():
    """With a number of threads set by hand, factorising a batch fails on some machines."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        grid = pixel_grid(8, 8)
        x_d = 0.5 * torch.randn(6, len(KEYPOINTS), 2, generator=torch.Generator().manual_seed(0))
        together = backward_flow(x_d[:1], x_d, grid)
        for one, alone in zip(together, x_d, strict=True):
            assert torch.allclose(one, backward_flow(x_d[:1], alone[None], grid)[0], atol=1e-5)
    finally:
        torch.set_num_threads(threads)


def test_distances_at_once_are_those_near_the_outline():
    """A GPU computes all of them at once."""
    polygon = torch.rand(3, 9, 2, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8
    points, reach = pixel_grid(24, 24).expand(3, -1, -1, -1), torch.tensor([0.1, 0.3, 0.6])
    edges = polygon.roll(-1, 1) - polygon
    lengths = edges.norm(dim=-1, keepdim=True)
    directions = edges / lengths
    along = torch.cat([directions, -(polygon * directions).sum(-1, keepdim=True)], -1)
    found = _segment_distances(polygon, points.flatten(1, 2), along, lengths)
    near = _squared_distances(polygon, points, reach)
    assert torch.allclose(torch.minimum(found, reach.square()[:, None]).view_as(near), near, atol=1e-5)
