"""Openness ratios and hull volumes."""

from __future__ import annotations

import itertools

import pytest
import torch
from official_motion import measured, source_picture, source_video
from official_reference import golden

from liveportrait.hull import hull_volume
from liveportrait.regions import FACE_MESH, LANDMARKS_203
from liveportrait.retarget import eye_ratio, lip_ratio, motion_multiplier, openness


def test_ratios_of_the_reference():
    landmarks = golden().input("ratio/landmarks")
    assert golden().difference("ratio/eye", eye_ratio(landmarks, LANDMARKS_203)) < 1e-6
    assert golden().difference("ratio/lip", lip_ratio(landmarks, LANDMARKS_203)) < 1e-6


def test_ratios_of_the_motion_cases():
    _, source = source_picture()
    _, closed = source_picture("closed")
    _, video = source_video()
    _, shut = source_video("shut")
    for name, value in (
        ("source_open_lip", source.lip_ratio),
        ("source_closed_lip", closed.lip_ratio),
        ("source_eye", source.eye_ratio),
        ("video_eye", video.eye_ratio),
        ("video_shut_eye0", shut.eye_ratio[:1]),
        ("video_lip", video.lip_ratio),
    ):
        assert golden().difference(f"motion/ratio/{name}", value) < 1e-6, name


def test_openness_is_height_over_width():
    landmarks = torch.tensor([[[0.0, -3.0], [0.0, 3.0], [-12.0, 0.0], [12.0, 0.0]]])
    assert float(openness(landmarks, (0, 1, 2, 3))) == pytest.approx(0.25)


def test_face_mesh_points_measure_a_drawn_face():
    mesh = torch.zeros(1, 478, 3)

    def opening(points, x, y, width, height):
        upper, lower, left, right = points
        mesh[0, upper, :2] = torch.tensor([x, y - height / 2])
        mesh[0, lower, :2] = torch.tensor([x, y + height / 2])
        mesh[0, left, :2] = torch.tensor([x - width / 2, y])
        mesh[0, right, :2] = torch.tensor([x + width / 2, y])

    opening(FACE_MESH.left_eye, -0.3, -0.2, 0.3, 0.09)
    opening(FACE_MESH.right_eye, 0.3, -0.2, 0.3, 0.06)
    opening(FACE_MESH.lips, 0.0, 0.5, 0.5, 0.2)
    torch.testing.assert_close(eye_ratio(mesh, FACE_MESH), torch.tensor([[0.3, 0.2]]), atol=1e-5, rtol=0)
    torch.testing.assert_close(lip_ratio(mesh, FACE_MESH), torch.tensor([[0.4]]), atol=1e-5, rtol=0)


def test_hull_of_a_box_ignores_inner_points_and_points_on_its_faces():
    corners = torch.tensor(list(itertools.product((0.0, 2.0), (0.0, 3.0), (0.0, 4.0))))
    inner = torch.rand(20, 3) * torch.tensor([2.0, 3.0, 4.0])
    middles = torch.tensor([[1.0, 1.5, 0.0], [1.0, 1.5, 4.0], [0.0, 1.5, 2.0]])
    assert hull_volume(corners) == pytest.approx(24.0)
    for _ in range(5):
        points = torch.cat([inner, corners, middles])
        assert hull_volume(points[torch.randperm(len(points))]) == pytest.approx(24.0)


def test_hull_of_flat_points_is_empty():
    assert hull_volume(torch.cat([torch.rand(10, 2), torch.ones(10, 1)], 1)) == pytest.approx(0.0, abs=1e-9)
    assert hull_volume(torch.ones(5, 3)) == 0.0


def test_hull_wants_points_in_space():
    with pytest.raises(ValueError, match=r"\(21, 2\)"):
        hull_volume(torch.zeros(21, 2))


@pytest.mark.parametrize("case", [0, 1, 2])
def test_motion_multiplier(case: int):
    data = golden()
    value = motion_multiplier(data.input(f"multiplier/{case}/kp_source"), data.input(f"multiplier/{case}/kp_driving"))
    assert value == pytest.approx(float(data.output(f"multiplier/{case}/value")), abs=1e-6)


def test_a_larger_face_moves_further():
    x_s = torch.randn(1, 21, 3)
    assert motion_multiplier(2 * x_s, x_s) == pytest.approx(8**0.5)


def test_landmarks_are_counted_in_the_picture_only():
    landmarks = torch.rand(2, 203, 2)
    with_depth = torch.cat([landmarks, torch.rand(2, 203, 1)], 2)
    motion = source_picture()[1]
    assert torch.equal(eye_ratio(with_depth, LANDMARKS_203), eye_ratio(landmarks, LANDMARKS_203))
    assert measured(motion, landmarks).eye_ratio.shape == (2, 2)
