"""Pose, expression and openness of the linear face model, on faces made by hand."""

import pytest
import torch

from liveportrait.keypoints import rotation_matrix
from liveportrait.mini import regions
from liveportrait.mini.face_model import FaceModel, eye_ratio, fit_similarity, lip_ratio


@pytest.fixture
def face() -> FaceModel:
    """A face of random points whose lips and lids answer to their own gaps only."""
    torch.manual_seed(0)
    model = FaceModel(num_mouth=3, num_brows=2)
    model.mean = torch.randn(len(regions.KEYPOINTS), 3)
    model.expression_basis = torch.randn(5, len(regions.KEYPOINTS), 3)
    for response, pairs in (
        (model.lip_response, regions.LIP_PAIRS),
        (model.lid_response, regions.LEFT_LID_PAIRS + regions.RIGHT_LID_PAIRS),
    ):
        for n, (_, lower) in enumerate(pairs):
            response[n, regions.rows((lower,))[0], 1] = 1.0
    return model


@pytest.mark.parametrize("count", [1, 3])
def test_fit_similarity_recovers_what_was_applied(count):
    torch.manual_seed(1)
    template = torch.randn(20, 3)
    rotation = rotation_matrix(*(torch.empty(count).uniform_(-40, 40) for _ in range(3)))
    scale, shift = torch.rand(count, 1) + 0.5, torch.randn(count, 3)
    points = scale[:, None] * (template @ rotation) + shift[:, None]
    pose = fit_similarity(template, points)
    assert torch.allclose(pose.rotation, rotation, atol=1e-5)
    assert torch.allclose(pose.scale, scale, atol=1e-5)
    assert torch.allclose(pose.translation, shift, atol=1e-5)


def test_fit_similarity_never_mirrors():
    template = torch.randn(20, 3, generator=torch.Generator().manual_seed(2))
    pose = fit_similarity(template, (template * torch.tensor([-1.0, 1.0, 1.0]))[None])
    assert torch.linalg.det(pose.rotation) == pytest.approx(1.0, abs=1e-5)


def test_a_subset_of_points_gives_the_same_pose(face):
    x = (0.4 * face.mean @ rotation_matrix(*torch.tensor([[5.0], [10.0], [-3.0]])))[None, 0] + 0.1
    subset = tuple(reversed(regions.RIGID))
    whole, part = face.pose(x), face.pose(x[:, regions.rows(subset)], subset)
    assert torch.allclose(whole.rotation, part.rotation, atol=1e-5)


def test_to_head_undoes_the_pose(face):
    rotation = rotation_matrix(*torch.tensor([[5.0], [10.0], [-3.0]]))
    x = 0.4 * (face.mean @ rotation) + torch.tensor([0.1, -0.2, 0.0])
    assert torch.allclose(face.to_head(x, face.pose(x)), face.mean[None], atol=1e-4)


def test_a_mouth_that_is_open_askew_closes_in_width_and_depth_too(face):
    askew = face.mean[None] + face.move_lips(face.mean[None], torch.full((1, len(regions.LIP_PAIRS)), 0.3))
    askew[:, regions.rows(regions.LIPS_INNER[11:] + regions.LIPS_OUTER[11:])] += torch.tensor([0.05, 0.0, 0.1])
    closed = face.close_lips(askew)
    upper, lower = (closed[:, regions.rows(side)] for side in zip(*regions.LIP_PAIRS, strict=True))
    assert torch.allclose(upper, lower, atol=1e-5)
    assert torch.allclose(face.close_lips(closed), closed, atol=1e-5)


@pytest.mark.parametrize(("gap", "factor"), [(0.2, 1.0), (0.475, 1.45), (0.7, 1.9), (1.0, 1.9)])
def test_the_jaw_rises_further_where_lips_were_wider_apart_than_in_speech(face, gap, factor):
    wide = face.mean[None] + face.move_lips(face.mean[None], torch.full((1, len(regions.LIP_PAIRS)), gap))
    chin = regions.rows((152,))
    rise, asked = ((x - wide)[:, chin] for x in (face.close_lips(wide), face.mean[None]))
    assert torch.allclose(rise, factor * asked, rtol=0.05, atol=0.01)


def test_lips_reach_the_asked_gaps_exactly(face):
    gaps = torch.linspace(0, 0.4, len(regions.LIP_PAIRS))[None]
    moved = face.mean + face.move_lips(face.mean[None], gaps)
    assert torch.allclose(face.lip_gaps(moved), gaps, atol=1e-5)


def test_lids_close(face):
    moved = face.mean + face.move_lids(face.mean[None], torch.zeros_like(face.lid_gaps(face.mean[None])))
    assert face.lid_gaps(moved).abs().max() < 1e-5


def test_express_is_linear_in_the_coefficients(face):
    one = face.express(torch.eye(5))
    both = face.express(torch.tensor([[2.0, 0.0, 0.0, -1.0, 0.0]]))
    assert torch.allclose(both[0], 2 * one[0] - one[3], atol=1e-5)


def test_ratios_of_a_hand_made_face():
    x = torch.zeros(1, len(regions.KEYPOINTS), 3)
    place = {13: (0, 1.0), 14: (0, 1.2), 78: (-0.4, 1.1), 308: (0.4, 1.1), 159: (-0.5, 0), 145: (-0.5, 0.1)}
    place |= {33: (-0.7, 0), 133: (-0.3, 0), 386: (0.5, 0), 374: (0.5, 0.2), 362: (0.3, 0), 263: (0.7, 0)}
    for point, xy in place.items():
        x[0, regions.rows((point,))[0], :2] = torch.tensor(xy)
    assert lip_ratio(x).item() == pytest.approx(0.25)
    assert eye_ratio(x)[0].tolist() == pytest.approx([0.25, 0.5])
