"""A bank of teeth: cut out of open mouths, continued behind the lips, and coloured as the skin tells."""

import pytest
import torch

from liveportrait import Crop, LivePortrait
from liveportrait.errors import PortraitError
from liveportrait.mini.raster import polygon_masks
from liveportrait.mini.regions import KEYPOINTS, LIPS_INNER, rows
from liveportrait.mini.teeth import TEETH, USUAL_TEETH
from liveportrait.training.teeth import CAVITY, build_bank, cut_teeth, fit_color

TEETH_COLOR = torch.tensor([0.8, 0.75, 0.7])


@pytest.fixture(scope="module")
def face():
    return LivePortrait.from_pretrained("mini").renderer.face  # type: ignore[union-attr]


def portrait(face, share: float = 1.0) -> tuple[Crop, torch.Tensor]:
    """An open mouth full of ivory in even skin."""
    x = 0.4 * (face.mean + face.express(-3.0 * share * torch.eye(1, len(face.expression_basis))))
    x = x - torch.tensor([0.0, 0.2, 0.0])
    inside = polygon_masks([x[:, rows(LIPS_INNER), :2]], 256, 0.003)
    skin = torch.tensor([0.6, 0.4, 0.35])[:, None, None].expand(3, 256, 256)
    landmarks = torch.zeros(1, 478, 3)
    landmarks[:, list(KEYPOINTS)] = x
    return Crop(torch.lerp(skin[None], TEETH_COLOR[:, None, None].expand(1, 3, 256, 256), inside), landmarks), x


def test_teeth_reach_up_behind_the_lip_and_end_in_the_dark(face):
    crop, x = portrait(face)
    picture = cut_teeth(face, crop.image, x).float() / 255
    middle = picture[:, :, TEETH.size // 2]
    assert torch.allclose(middle[:3, 2], torch.full((3,), USUAL_TEETH), atol=0.02)
    assert torch.allclose(middle[:3, -1], torch.tensor(CAVITY), atol=0.01)
    assert middle[3, 0] == 1 and middle[3, -1] == 0
    assert torch.allclose(picture[:3, 2, 0], torch.tensor(CAVITY), atol=0.01)


def test_light_on_skin_and_teeth_is_found_again():
    random = torch.Generator().manual_seed(0)
    skins = 0.3 * torch.randn(50, 3, generator=random)
    light = fit_color(skins, skins - 0.2, seed=0)
    assert torch.allclose(light, torch.cat([torch.eye(3), torch.full((3, 1), -0.2)], 1), atol=1e-4)


def test_a_bank_names_what_is_missing(face):
    crops = [(str(n), portrait(face, 1 - 0.1 * n)[0]) for n in range(4)]
    assert build_bank(face, crops, ["1", "3"]).pictures.shape == (2, 4, TEETH.size, TEETH.size)
    with pytest.raises(PortraitError, match="7: not among the portraits"):
        build_bank(face, crops, ["7"])
    with pytest.raises(PortraitError, match="3 open mouths"):
        build_bank(face, crops[:3], ["1"])
