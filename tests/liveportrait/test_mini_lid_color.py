"""Painted lids have the colours of the skin around the eyes."""

import pytest
import torch

from liveportrait import LivePortrait
from liveportrait.mini.lid_color import read_lid_colors
from liveportrait.mini.painted import Painted

SIDE, FRAMES = 48, 2


@pytest.fixture(scope="module")
def face():
    return LivePortrait.from_pretrained("mini").renderer.face  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def x_s(face) -> torch.Tensor:
    return 0.4 * face.mean[None] - torch.tensor([0.0, 0.2, 0.0])


def skin(*tint: float, noise: float = 0.0) -> torch.Tensor:
    """Skin of many brightnesses in one tint, shape (1, 3, 128, 128)."""
    random = torch.Generator().manual_seed(0)
    grey = 0.3 + 0.5 * torch.rand(1, 1, 128, 128, generator=random)
    return grey * torch.tensor(tint)[None, :, None, None] + noise * torch.randn(1, 3, 128, 128, generator=random)


def pink_paint(eye: float = 0.0) -> Painted:
    color = torch.tensor([0.6, 0.4, 0.4])[None, :, None, None].expand(FRAMES, -1, SIDE, SIDE)
    one = torch.ones(FRAMES, 1, SIDE, SIDE)
    return Painted(color, color, one, eye * one)


def test_lids_of_marble_are_marble_and_those_of_yellow_skin_yellow(face, x_s):
    for tint in ((1.0, 1.0, 1.0), (1.0, 0.8, 0.4)):
        lids = read_lid_colors(skin(*tint), x_s, face).apply(pink_paint()).color
        hue = lids / lids.amax(1, keepdim=True)
        assert torch.allclose(hue, torch.tensor(tint)[None, :, None, None].expand_as(hue), atol=0.02)


def test_lids_keep_their_brightness(face, x_s):
    painted = pink_paint()
    luma = torch.tensor([0.299, 0.587, 0.114])
    before, after = (
        (one.color.movedim(1, 3) @ luma) for one in (painted, read_lid_colors(skin(1, 1, 1), x_s, face).apply(painted))
    )
    assert torch.allclose(before, after, atol=1e-3)


def test_eyes_keep_the_colours_that_are_painted(face, x_s):
    painted = pink_paint(eye=1.0)
    assert torch.equal(read_lid_colors(skin(1, 1, 1), x_s, face).apply(painted).color, painted.color)


def test_skin_of_many_colours_leaves_lids_as_they_are_painted(face, x_s):
    painted = pink_paint()
    lids = read_lid_colors(skin(1.0, 0.8, 0.8, noise=0.3), x_s, face).apply(painted)
    assert torch.allclose(lids.color, painted.color, atol=1e-3)
