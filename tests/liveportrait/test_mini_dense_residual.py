"""The dense residual: displacement and shading of a driver's skin are measured, and applied to another face."""

import pytest
import torch

from liveportrait import Crop, LivePortrait
from liveportrait.mini.dense_residual import (
    DENSE_RESIDUAL_SIZE,
    MAX_SHADE,
    MAX_SLIDE,
    SKIN,
    place_dense_residual,
    read_dense_residual,
)
from liveportrait.mini.patches import patch_frame, patch_points, sample
from liveportrait.mini.raster import pixel_grid
from liveportrait.mini.regions import FACE_OVAL, KEYPOINTS, rows
from liveportrait.mini.renderer import FLOW_SIZE
from talkinghead.face.optical_flow import optical_flow

SIDE = 256


@pytest.fixture(scope="module")
def model():
    return LivePortrait.from_pretrained("mini")


@pytest.fixture(scope="module")
def x(model):
    return 0.4 * model.renderer.face.mean[None] - torch.tensor([0.0, 0.2, 0.0])


@pytest.fixture(scope="module")
def picture():
    """Blotches of a few pixels, which a search for motion can hold on to."""
    random = torch.Generator().manual_seed(0)
    spots = torch.rand(1, 3, 64, 64, generator=random)
    return torch.nn.functional.interpolate(spots, (SIDE, SIDE), mode="bicubic").clamp(0, 1) * 0.5 + 0.25


def patch_of(model, picture, x):
    frame = patch_frame(SKIN, model.renderer.face.pose(x))
    return sample(picture, patch_points(frame, SKIN.size)), frame


def cheek(dense_residual):
    """The part of the patch left of the mouth, away from lips and eyes."""
    return dense_residual[
        0,
        :,
        DENSE_RESIDUAL_SIZE * 9 // 16 : DENSE_RESIDUAL_SIZE * 11 // 16,
        DENSE_RESIDUAL_SIZE * 4 // 16 : DENSE_RESIDUAL_SIZE * 5 // 16,
    ]


def test_the_same_picture_has_no_residual(model, picture, x):
    seen, frame = patch_of(model, picture, x)
    assert read_dense_residual(seen, seen, frame, x, optical_flow).abs().max() < 5e-3


def test_slide_and_shade_are_read(model, picture, x):
    """The driver's skin moved right by three pixels of the patch and lost a tenth of its brightness."""
    seen, frame = patch_of(model, picture, x)
    later = 0.9 * torch.roll(seen, 3, 3)
    right, down, shade = cheek(read_dense_residual(seen, later, frame, x, optical_flow)).flatten(1).mean(1)
    assert right == pytest.approx(-3 * 2 / SKIN.size, abs=0.01)  # comes from further left
    assert abs(down) < 0.01
    assert shade == pytest.approx(-0.1, abs=0.03)


def test_what_is_read_is_bounded(model, picture, x):
    seen, frame = patch_of(model, picture, x)
    found = read_dense_residual(seen, 1 - torch.roll(seen, 40, 2), frame, x, optical_flow)
    assert found[:, :2].abs().max() <= MAX_SLIDE
    assert found[:, 2].abs().max() <= MAX_SHADE


@pytest.fixture
def oval():
    """Keypoints of a face that fills most of the patch, with lips and eyes far outside; shape (1, K, 3)."""
    keypoints = torch.zeros(1, len(KEYPOINTS), 3)
    keypoints[..., 1] = -5.0
    angle = torch.linspace(0, 2 * torch.pi, len(FACE_OVAL) + 1)[:-1]
    keypoints[0, rows(FACE_OVAL), :2] = torch.stack([0.9 * angle.sin(), -0.9 * angle.cos()], 1)
    return keypoints


def read_given(oval, before, after, flow):
    """Read skin between two grey levels, with a given flow (T, 2, S, S) in pixels; return the face's middle."""
    size, frame = SKIN.size, torch.eye(3)[None, :2].expand(len(flow), -1, -1)
    expected, seen = (torch.full((len(flow), 3, size, size), level) for level in (before, after))
    found = read_dense_residual(expected, seen, frame, oval.expand(len(flow), -1, -1), lambda *_: flow)
    return found[:, :, 4:12, 4:12]


@pytest.mark.parametrize(("pixels", "least", "most"), [(6.0, 0.085, 0.1), (-6.0, -0.1, -0.085), (40.0, 0.1, 0.15)])
def test_slides_are_followed_to_a_bound(oval, pixels, least, most):
    """Six pixels are 0.094 of the patch; forty would tear the skin, and come from a search that lost its way."""
    flow = torch.zeros(1, 2, SKIN.size, SKIN.size)
    flow[:, 0] = pixels
    slide = read_given(oval, 0.5, 0.5, flow)[0, 0]
    assert least <= slide.min() and slide.max() <= most


@pytest.mark.parametrize(("level", "least", "most"), [(0.4, -0.21, -0.18), (0.05, -0.36, -0.25), (1.0, 0.25, 0.36)])
def test_shades_are_followed_to_a_bound(oval, level, least, most):
    """Grey of 0.5 may become 0.4; black or white in its place is no shade of skin."""
    shade = read_given(oval, 0.5, level, torch.zeros(1, 2, SKIN.size, SKIN.size))[0, 2]
    assert least <= shade.min() and shade.max() <= most


def test_noise_of_the_optical_flow_is_blurred_and_a_fold_of_the_skin_is_not(oval):
    """A pixel's error leaves at most a twelfth of itself; eight pixels beside a fold, each side moves its own way."""
    noise = torch.randn(4, 2, SKIN.size, SKIN.size, generator=torch.Generator().manual_seed(0))
    assert read_given(oval, 0.5, 0.5, noise)[:, :2].std() < 1 / 12 * 2 / SKIN.size
    fold = torch.full((1, 2, SKIN.size, SKIN.size), 3.0)
    fold[..., : SKIN.size // 2] = -3.0
    across = read_given(oval, 0.5, 0.5, fold)[0, 0].mean(0) * SKIN.size / 2
    assert across[:3].tolist() == pytest.approx([-3.0] * 3, abs=0.15)
    assert across[-3:].tolist() == pytest.approx([3.0] * 3, abs=0.15)


def test_the_residual_is_applied_to_the_face_alone(model, x):
    """Slides turn and grow with the head; beyond the face nothing changes."""
    dense_residual = torch.zeros(1, 3, DENSE_RESIDUAL_SIZE, DENSE_RESIDUAL_SIZE)
    dense_residual[:, 0], dense_residual[:, 2] = 0.05, -0.2
    slide, brighter = place_dense_residual(dense_residual, model.renderer.face.pose(x), x, FLOW_SIZE)
    grid = pixel_grid(FLOW_SIZE, FLOW_SIZE)
    oval = x[0, rows(FACE_OVAL), :2]
    middle = (grid - oval.mean(0)).norm(dim=-1).argmin()
    assert slide.reshape(-1, 2)[middle].tolist() == pytest.approx([0.05 * 0.4 * SKIN.half_side, 0.0], abs=2e-3)
    assert brighter.flatten()[middle] == pytest.approx(-0.181, abs=5e-3)
    assert slide[0, 0].abs().max() < 5e-4
    assert brighter[0, 0, :, 0].abs().max() < 5e-3


def test_faces_are_covered_alike_in_any_batch(model, x):
    """A small head's oval is as soft beside a large one as alone."""
    both = torch.cat([x, 0.5 * x])
    dense_residual = torch.full((2, 3, DENSE_RESIDUAL_SIZE, DENSE_RESIDUAL_SIZE), 0.05)
    together = place_dense_residual(dense_residual, model.renderer.face.pose(both), both, FLOW_SIZE)
    alone = place_dense_residual(dense_residual[1:], model.renderer.face.pose(both[1:]), both[1:], FLOW_SIZE)
    for a, b in zip(together, alone, strict=True):
        assert torch.allclose(a[1:], b, atol=1e-5)


def test_a_driver_that_is_the_portrait_brings_it_closer(model, picture, x):
    """Self-reenactment of a darker, slid picture: the rendering with the residual is nearer to it than without."""
    mesh = torch.zeros(1, 478, 3)
    mesh[:, list(KEYPOINTS)] = x
    source, driver = Crop(picture, mesh), Crop(0.9 * torch.roll(picture, 4, 3), mesh)
    portrait = model.encode(source)
    dense_residual = model.read_dense_residual(source, driver, optical_flow)
    plain, closer = (model.render(portrait, portrait.x_s, each) for each in (None, dense_residual))
    patch = (..., slice(120, 160), slice(80, 100))
    errors = [(shown - driver.image)[patch].abs().mean() for shown in (plain, closer)]
    assert errors[1] < 0.6 * errors[0]
