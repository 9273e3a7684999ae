"""Squares around faces: as large as the rule says, inside the pictures, and pictures and landmarks cut alike."""

import numpy as np
import pytest
import torch
from torchvision.io import decode_jpeg

from liveportrait.mini.face_model import embedded_face_model
from liveportrait.training.faces import rows
from talkinghead.dataset.faces import COLUMNS, Form

SIDE = 256
CHIN, FOREHEAD = 152, 10


def form(crop_scale):
    return Form(embedded_face_model(), 128, 95, crop_scale)


def face(size, x=0.0, y=0.0):
    """Landmarks of an upright face, in three frames; `size` is the distance from forehead to chin, ±1 at the edges."""
    points = embedded_face_model().mean.detach().clone()
    points -= points[COLUMNS].mean(0)
    points *= size / float(length(points[COLUMNS]))
    points[:, :2] += torch.tensor([x, y])
    return points.expand(3, -1, -1)


def length(landmarks):
    forehead, chin = rows((FOREHEAD, CHIN))
    return (landmarks[..., forehead, :2] - landmarks[..., chin, :2]).norm(dim=-1)


def dot_at(place):
    """A grey picture with a white dot at a place, ±1 at the edges."""
    picture = np.full((SIDE, SIDE, 3), 90, np.uint8)
    x, y = ((place.numpy() + 1) * SIDE / 2).round().astype(int)
    picture[y - 3 : y + 3, x - 3 : x + 3] = 255
    return picture


def cut(points, crop_scale, picture=None):
    picture = np.zeros((SIDE, SIDE, 3), np.uint8) if picture is None else picture
    return form(crop_scale).clip([picture] * 3, points, "someone", permissive=True)


def test_faces_have_one_size_and_place():
    small, large = (cut(face(size, x, y), 1.6).landmarks for size, x, y in ((0.7, 0.1, 0.0), (0.95, -0.05, 0.1)))
    assert torch.allclose(small, large, atol=1e-3)
    closer = cut(face(0.7, 0.1), 1.5).landmarks
    assert torch.allclose(length(closer), length(small) * 1.6 / 1.5, atol=1e-3)


def test_a_still_keeps_the_square_of_its_first_picture():
    points = torch.cat([face(0.7)[:1], face(0.9)[:2]])
    clip = form(1.6).clip([np.zeros((SIDE, SIDE, 3), np.uint8)] * 3, points, "someone", permissive=True, still=True)
    assert torch.allclose(clip.landmarks[0], cut(face(0.7), 1.6).landmarks[0], atol=1e-3)
    assert torch.allclose(length(clip.landmarks) / length(clip.landmarks[:1]), torch.tensor([1.0, 9 / 7, 9 / 7]))


@pytest.mark.parametrize("crop_scale", [1.6, 2.3])
def test_squares_lie_inside_the_pictures(crop_scale):
    points = face(0.9, 0.4, 0.4)  # the square by the rule would reach beyond the corner
    landmarks = cut(points, crop_scale).landmarks
    zoom = length(landmarks) / length(points[:, COLUMNS])
    upper_left = points[:, COLUMNS, :2] - (landmarks + 1) / zoom[:, None, None]
    assert upper_left.min() >= -1.001 and (upper_left + 2 / zoom[:, None, None]).max() <= 1.001


def test_pictures_too_close_are_kept_whole():
    points = face(1.3)
    assert torch.allclose(cut(points, 2.3).landmarks, points[:, COLUMNS, :2], atol=1e-3)


@pytest.mark.parametrize("crop_scale", [1.5, 2.3])
def test_pictures_are_cut_as_the_landmarks_are(crop_scale):
    points = face(0.8, 0.05, -0.1)
    chin = points[0, COLUMNS][rows((CHIN,))[0], :2]
    clip = cut(points, crop_scale, dot_at(chin))
    shown = decode_jpeg(clip.jpegs[0]).float().mean(0)
    y, x = (shown > 170).nonzero().float().mean(0) + 0.5
    expected = (clip.landmarks[0, rows((CHIN,))[0]] + 1) * 64
    assert torch.allclose(torch.stack([x, y]), expected, atol=0.8)
