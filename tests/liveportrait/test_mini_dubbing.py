"""Another voice in a talking face: only the mouth changes, and nothing of the old speech stays in it."""

import math
from dataclasses import replace

import pytest
import torch

from liveportrait import Crop, LivePortrait, Motion, SpeechMotion
from liveportrait.mini.dubbing import dubbed_face, mouth_share, quiet_mouths
from liveportrait.mini.face_model import embedded_face_model
from liveportrait.mini.other_mouth import inside_points, turned_share
from liveportrait.mini.raster import pixel_grid, polygon_masks
from liveportrait.mini.regions import JAW, KEYPOINTS, LEFT_BROW, LEFT_EYE, LEFT_IRIS, LIPS, LIPS_INNER, NOSE, rows

CHIN = 152


@pytest.fixture(scope="module")
def face():
    return embedded_face_model()


def opened(face, gaps):
    """Faces whose lips are open by these factors, shape (T, K, 3)."""
    wide = face.lip_gaps(face.mean[None]) + torch.tensor(gaps)[:, None] * 0.2
    mean = face.mean.expand(len(gaps), -1, -1)
    return mean + face.move_lips(mean, wide)


def in_motion(face, heads):
    return replace(Motion.still(len(heads), len(KEYPOINTS)), expression=heads - face.mean)


def saying(face, mouth):
    """One frame of speech with the given first coefficient."""
    coefficients = torch.zeros(1, len(face.expression_basis))
    coefficients[:, 0] = mouth
    still = torch.zeros(1, 2)
    return SpeechMotion(coefficients, torch.zeros(1, 1), still + 1, still, torch.eye(3)[None], torch.zeros(1, 3))


def test_the_new_mouth_does_not_depend_on_the_old_one(face):
    heads = opened(face, [0.0, 1.0, 0.3, 0.8])
    quiet = quiet_mouths(face, in_motion(face, heads), 25.0)
    made = torch.cat([dubbed_face(face, heads[n : n + 1], quiet[n], saying(face, 1.0)) for n in range(4)])
    lips = made[:, rows(LIPS)]
    assert float((lips - lips[:1]).abs().max()) < 0.03
    assert float(face.lip_gaps(made).std(0).max()) < 1e-3


def test_silence_closes_lips_and_jaw(face):
    (head,) = opened(face, [1.0])
    closed = dubbed_face(face, head[None], None, saying(face, 0.0))
    assert float(face.lip_gaps(closed).abs().max()) < 1e-3
    assert float(closed[0, rows((CHIN,)), 1]) < float(head[rows((CHIN,)), 1]) - 0.05


def test_eyes_brows_and_nose_stay(face):
    heads = opened(face, [0.7]) + 0.02 * torch.randn(1, len(KEYPOINTS), 3, generator=torch.Generator().manual_seed(0))
    made = dubbed_face(face, heads, None, saying(face, 2.0))
    kept = rows((*LEFT_EYE, *LEFT_IRIS, *LEFT_BROW, *NOSE))
    assert torch.equal(made[:, kept], heads[:, kept])
    share = mouth_share(face)[:, 0]
    assert float(share[rows(LIPS)].min()) == 1 and float(share[rows(JAW)].max()) == 1 and not share[kept].any()


def test_a_slow_smile_stays_and_quick_changes_go(face):
    corner = rows((61,))
    heads = face.mean.repeat(250, 1, 1)
    heads[:, corner, 0] += torch.linspace(0, 0.3, 250)[:, None]
    heads[::2, corner, 0] += 0.1
    quiet = quiet_mouths(face, in_motion(face, heads), 25.0)
    moved = quiet.expression[:, corner, 0] - quiet.expression[0, corner, 0]
    assert float(moved[-1]) == pytest.approx(0.3, abs=0.08)  # at the ends a bit less
    assert float(moved.diff(dim=0).abs().max()) < 0.01


@pytest.mark.parametrize("on_tensors", [True, False])
def test_the_inside_of_the_mouth_is_another_pictures(on_tensors):
    """Both renderers show it: a white mouth in a gray face, and nothing of the face's own red one."""
    model = LivePortrait.from_pretrained("mini")
    face = model.renderer.face
    points = torch.zeros(1, 478, 3)
    points[:, list(KEYPOINTS)] = 0.2 * opened(face, [1.0]) + torch.tensor([0.0, -0.1, 0.0])
    inside = points[:, [13, 14], :2].mean(1)[0]
    x, y = ((inside + 1) * 128).long().tolist()

    def crop(color):
        image = torch.full((1, 3, 256, 256), 0.5)
        image[:, :, y - 6 : y + 7, x - 12 : x + 13] = torch.tensor(color)[:, None, None]
        return Crop(image, points)

    mouth, own = model.encode(crop((0.95, 0.95, 0.95))), model.encode(crop((0.9, 0.0, 0.0)))
    portrait = replace(own, mouth=mouth)
    x_d = portrait.x_s.clone()
    assert float(shown_at(model, portrait, x_d, y, x, on_tensors).min()) > 0.7


@pytest.mark.parametrize("on_tensors", [True, False])
def test_nothing_of_the_other_pictures_mouth_is_seen_between_closed_lips(face, on_tensors):
    """A white mouth closes to the colour of a gray face; a strip of it would lighten the lips by 0.1."""
    model = LivePortrait.from_pretrained("mini")
    points = torch.zeros(1, 478, 3)
    points[:, list(KEYPOINTS)] = 0.2 * opened(face, [0.3]) + torch.tensor([0.0, -0.1, 0.0])
    skin, teeth = torch.full((1, 3, 256, 256), 0.5), torch.ones(1, 3, 256, 256)
    inside = polygon_masks([points[:, list(LIPS_INNER), :2]], 256, 0.005)
    mouth = model.encode(Crop(torch.lerp(skin, teeth, inside), points))
    portrait = replace(model.encode(Crop(skin, points)), mouth=mouth)
    x_d = model.silence(portrait)
    x, y = ((x_d[0, rows((13, 14)), :2].mean(0) + 1) * 128).long().tolist()
    shown = shown_at(model, portrait, x_d, slice(y - 8, y + 9), slice(x - 24, x + 25), on_tensors)
    assert float(shown.max()) < 0.57


def shown_at(model, portrait, x_d, y, x, on_tensors):
    """Return the colours that one of the two renderers shows, RGB first."""
    if on_tensors:
        return model.render(portrait, x_d)[0, :, y, x]
    return torch.from_numpy(model.picture_renderer(portrait)(x_d, None)[0, y, x]).float().movedim(-1, 0) / 255


@pytest.mark.parametrize(("degrees", "share"), [(0, 0), (14, 0), (22, 0.5), (50, 1)])
def test_a_mouth_is_shown_from_another_side(face, degrees, share):
    """Its corners stay near; seen from far aside it is a plane, which has no folds."""
    turn = math.radians(degrees)
    sideways = torch.tensor([[math.cos(turn), 0, math.sin(turn)], [0, 1, 0], [-math.sin(turn), 0, math.cos(turn)]])
    x_s = 0.4 * opened(face, [1.0])
    x_d = x_s @ sideways
    assert turned_share(face, x_s, x_d).item() == pytest.approx(share, abs=0.1)
    corners = rows((78, 308))
    found = inside_points(face, x_s, x_d, x_d[:, None, corners, :2])
    assert torch.allclose(found[:, 0], x_s[:, corners, :2], atol=0.02 + 0.12 * share)
    left, right = x_d[0, corners, :2]
    grid = left + (pixel_grid(32, 32) + 1) / 2 * (right - left).abs().max() * torch.tensor([1.0, 0.5])
    points = inside_points(face, x_s, x_d, grid[None])[0]
    across, along = points[:-1, 1:] - points[:-1, :-1], points[1:, :-1] - points[:-1, :-1]
    assert (across[..., 0] * along[..., 1] - across[..., 1] * along[..., 0]).min() > 0 or share == 0.5
