"""Teeth of portraits with shut lips: between the lips alone, still in the head, and in the light of the skin."""

from dataclasses import replace

import pytest
import torch

from liveportrait import Crop, LivePortrait, Portrait
from liveportrait.mini import MiniLivePortrait, load, save
from liveportrait.mini.mouth_color import USUAL_SKIN, colourfulness, usual_light
from liveportrait.mini.painted import PaintedPatch
from liveportrait.mini.patches import MOUTH, draw_masks, patch_frame, patch_points
from liveportrait.mini.pictures import seen_size, take_teeth
from liveportrait.mini.regions import KEYPOINTS
from liveportrait.mini.renderer import MiniConfig, MiniRenderer
from liveportrait.mini.teeth import FARTHEST, NO_TEETH, TEETH, Teeth, TeethBank, teeth_color
from liveportrait.mini.teeth_painter import DARKER, PAINTED, Opening, TeethPainter

SIDE = TEETH.size


@pytest.fixture(scope="module")
def face():
    return LivePortrait.from_pretrained("mini").renderer.face  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def shut(face) -> torch.Tensor:
    """Keypoints of the mean face with shut lips, shape (1, K, 3)."""
    head = face.mean + face.move_lips(face.mean[None], torch.zeros(1, face.lip_response.shape[0]))
    return 0.4 * head - torch.tensor([0.0, 0.2, 0.0])


@pytest.fixture(scope="module")
def opened(face, shut) -> torch.Tensor:
    """The same with open lips."""
    return shut + 0.4 * face.express(-2.0 * torch.eye(1, len(face.expression_basis)))


def bank_of(*skins: tuple[float, float, float]) -> TeethBank:
    pictures = torch.full((len(skins), 4, SIDE, SIDE), 255, dtype=torch.uint8)
    return TeethBank(pictures, torch.tensor(skins), usual_light())


def photographed(brightness: float) -> torch.Tensor:
    """Skin with pores, shape (1, 3, 128, 128)."""
    pores = 1 + 0.05 * torch.randn(1, 1, 128, 128, generator=torch.Generator().manual_seed(0))
    return brightness * pores * torch.tensor(USUAL_SKIN)[None, :, None, None]


def test_the_owner_with_the_most_similar_skin_lends_teeth(face, shut):
    bank = bank_of((0.0, 0.0, 0.0), (-1.0, -1.0, -1.0))
    pictures = torch.cat([photographed(1.0), photographed(0.35)])
    assert bank.choose(pictures, shut.expand(2, -1, -1), face).tolist() == [0, 1]


def test_a_drawn_face_without_lips_has_no_teeth(face, shut, opened):
    bank = bank_of((0.0, 0.0, 0.0))
    frame = patch_frame(MOUTH, face.pose(shut))
    grid = patch_points(frame, MOUTH.size)[0]
    flat = torch.tensor(USUAL_SKIN)[None, :, None, None].expand(-1, -1, 128, 128).clone()
    painted = flat.clone()
    for (x, y), lips in zip(grid.flatten(0, 1), draw_masks(MOUTH, frame, shut)[0, 1].flatten(), strict=True):
        if lips > 0.5:
            painted[0, 1:, int((y + 1) * 64), int((x + 1) * 64)] *= 0.5  # red lips
    chosen = [int(bank.choose(picture, shut, face)) for picture in (flat, painted, photographed(1.0))]
    assert chosen == [NO_TEETH, 0, 0]
    _, shown = bank.take(torch.tensor([NO_TEETH]), shut, face).paint(
        face.pose(opened), opened, torch.ones(1, 3), torch.zeros(1, 1, 1, 1)
    )
    assert shown.occlusion.max() == 0


def test_teeth_are_seen_between_the_lips_alone(face, shut, opened):
    teeth = bank_of((0.0, 0.0, 0.0)).take(torch.tensor([0]), shut, face)
    both, none = torch.cat([shut, opened]), torch.zeros(2, 1, 1, 1)
    frame, painted = teeth.paint(face.pose(both), both, torch.ones(2, 3), none)
    outside = torch.nn.functional.max_pool2d(draw_masks(TEETH, frame, both)[:, :1], 3, 1, 1) < 0.5
    assert painted.occlusion[0].max() == 0
    assert painted.occlusion[1].max() > 0.9
    assert painted.occlusion[outside].max() == 0


def test_a_mouth_that_the_source_shows_keeps_its_own_teeth(face, shut, opened):
    teeth = bank_of((0.0, 0.0, 0.0)).take(torch.tensor([0]), shut, face)
    _, painted = teeth.paint(face.pose(opened), opened, torch.ones(1, 3), torch.ones(1, 1, 1, 1))
    assert painted.occlusion.max() == 0


def test_teeth_keep_their_place_in_the_head_when_the_jaw_falls(face, shut, opened):
    teeth = bank_of((0.0, 0.0, 0.0)).take(torch.tensor([0]), shut, face)
    both = torch.cat([shut, opened])
    pose = face.pose(both)
    frames, _ = teeth.paint(pose, both, torch.ones(2, 3), torch.zeros(2, 1, 1, 1))
    heads = patch_frame(TEETH, pose)
    assert torch.allclose(frames - heads, (frames - heads)[:1].expand(2, -1, -1), atol=2e-3)


def test_teeth_follow_the_place_of_the_lips_but_not_far(face, shut):
    bank, frame = bank_of((0.0, 0.0, 0.0)), patch_frame(TEETH, face.pose(shut))
    here = bank.take(torch.tensor([0]), shut, face).shift
    lips = [n for n, point in enumerate(KEYPOINTS) if point in TEETH.polygons[0]]
    found = []
    for move in (0.05, 5.0):
        lower = shut.clone()
        lower[:, lips, :2] += move * frame[0, :, 1]
        found.append(bank.take(torch.tensor([0]), lower, face).shift)
    assert torch.allclose(found[0] - here, torch.tensor([[0.0, 0.05]]), atol=0.01)
    assert found[1][0, 1] == pytest.approx(FARTHEST)


def test_teeth_are_as_dark_as_the_picture_and_never_green():
    skin = torch.tensor([(1.0, 1.0, 1.0), (0.1, 0.1, 0.1), (0.05, 0.05, 0.05), (1.2, 1.6, 0.7)])
    light = torch.cat([0.7 * torch.eye(3), torch.full((3, 1), -0.5)], 1)
    usual, dusk, night, varnish = teeth_color(skin, light)
    assert torch.allclose(usual, torch.full((3,), 0.6065), atol=1e-3)
    assert torch.allclose(dusk, 2 * night, atol=1e-4)
    assert varnish[0] > varnish[1] > varnish[2]
    assert float(varnish[1]) == pytest.approx(float(0.75 * varnish[0] + 0.25 * varnish[2]))


def test_teeth_survive_their_file(tmp_path):
    torch.manual_seed(0)
    renderer = MiniRenderer(MiniConfig(flow_channels=4, mouth_channels=8, eye_channels=8))
    renderer.teeth = bank_of((0.0, 0.1, 0.2), (1.0, 1.1, 1.2))
    renderer.teeth.light.copy_(torch.rand(3, 4))
    save(renderer, tmp_path)
    again = load(tmp_path)
    assert again.num_teeth == 2
    for name, value in renderer.teeth.named_buffers():
        assert torch.equal(getattr(again.renderer.teeth, name), value), name
    renderer.teeth = None
    save(renderer, tmp_path)
    assert load(tmp_path).num_teeth == 0


def test_in_grey_pictures_teeth_are_grey():
    color = torch.tensor([(0.5, 0.5, 0.5), (0.3, 0.29, 0.28), USUAL_SKIN])
    assert colourfulness(color / torch.tensor(USUAL_SKIN)).flatten().tolist() == pytest.approx([0, 0.407, 1], abs=0.01)
    grey, *_, usual = teeth_color(color / torch.tensor(USUAL_SKIN), torch.cat([torch.eye(3), torch.zeros(3, 1)], 1))
    assert grey.std() < 1e-6
    assert torch.allclose(usual, torch.ones(3))


def portrait_of(model: MiniLivePortrait, x: torch.Tensor, count: int = 1) -> Portrait:
    """Even skin with keypoints x, shape (count, K, 3)."""
    landmarks = torch.zeros(count, 478, 3)
    landmarks[:, list(KEYPOINTS)] = x
    skin = torch.tensor(USUAL_SKIN)[None, :, None, None].expand(count, -1, 256, 256).contiguous()
    return model.encode(Crop(skin, landmarks))


def painted_teeth(
    model: MiniLivePortrait, portrait: Portrait, x_d: torch.Tensor, teeth: Teeth | None = None
) -> list[PaintedPatch]:
    """What is painted over the mouth of a portrait."""
    renderer, count = model.renderer, len(x_d)
    image = portrait.crop.image.expand(count, -1, -1, -1)
    warp = renderer.warp(seen_size(image), portrait.x_s, x_d)
    features = renderer.unpack(portrait.f_s, count)
    teeth = teeth or take_teeth(renderer, replace(portrait, teeth=torch.tensor([0])))
    return renderer.paint(image, features, warp, portrait.x_s, x_d, teeth=teeth)[3:]


def test_teeth_are_painted_where_lips_are_parted_that_were_shut(shut, opened):
    model = LivePortrait.from_pretrained("mini")
    assert isinstance(model, MiniLivePortrait)
    three = torch.cat([shut, opened, shut])
    with torch.inference_mode():
        (patch,) = painted_teeth(model, portrait_of(model, shut), three)
        assert patch.which.tolist() == [1]  # type: ignore[union-attr]
        outside = patch.painted.masks[:, 1:2] < 0.01
        assert patch.painted.occlusion.max() > 0.9
        assert patch.painted.occlusion[:, :, :20][outside[:, :, :20]].max() < 0.05
        assert not painted_teeth(model, portrait_of(model, shut), shut)
        assert not painted_teeth(model, portrait_of(model, opened), opened)


def test_a_painter_of_teeth_starts_with_the_teeth_as_they_are():
    torch.manual_seed(0)
    painter = TeethPainter(8)
    masks = torch.rand(2, 2, PAINTED.size, PAINTED.size)
    below, teeth = (torch.rand(2, n, PAINTED.size, PAINTED.size) for n in (3, 4))
    places, skin = torch.rand(2, PAINTED.size, PAINTED.size, 2), 0.5 + torch.rand(2, 3)
    opening = Opening(below, teeth, masks, places, skin, torch.ones(2, 1, 1, 1))
    assert opening.seen().shape == (2, TeethPainter.INPUTS, PAINTED.size, PAINTED.size)
    change, share = painter(opening.seen())
    painted = opening.painted(change, share)
    assert torch.allclose(painted.color, torch.lerp(below, teeth[:, :3], teeth[:, 3:]))
    hidden = opening._replace(hidden=torch.zeros(2, 1, 1, 1)).painted(change, share)
    assert hidden.occlusion.max() == 0


def plain_opening(teeth: float, opened: float = 1.0) -> Opening:
    """A mouth that is one colour, its left half teeth of some brightness."""
    side = PAINTED.size
    shown = torch.zeros(1, 4, side, side)
    shown[:, :, :, : side // 2] = torch.tensor([teeth, teeth, teeth, 1.0])[None, :, None, None]
    masks = torch.full((1, 2, side, side), (1 + opened) / 2)
    below, places = torch.full((1, 3, side, side), 0.5), torch.zeros(1, side, side, 2)
    return Opening(below, shown, masks, places, torch.ones(1, 3), torch.ones(1, 1, 1, 1))


def test_painted_teeth_are_sharpened_but_not_the_grid_of_the_network():
    opening, side = plain_opening(0.5), PAINTED.size
    grid = 0.1 * ((torch.arange(side) % 2)[:, None] + torch.arange(side) % 2 - 1.0)
    waves = 0.05 * (torch.arange(side) * (2 * torch.pi / 8)).sin().expand(side, side)
    found = []
    for pattern in (grid, waves):
        painted = opening.painted(torch.zeros(1, 3, side, side), torch.zeros(1, 1, side, side))
        painted = opening.finished(replace(painted, color=painted.color * 0 + 0.5 + pattern))
        parts = painted.color[0, 0, 8:-8].split(side // 2, 1)
        found.append([float(part[:, 8:-8].std() / pattern.std()) for part in parts])
    assert max(found[0]) < 0.01
    assert found[1][0] > 1.2 > 1.0 > found[1][1]


def test_painted_teeth_are_not_green():
    opening, side = plain_opening(0.5), PAINTED.size
    painted = opening.painted(torch.zeros(1, 3, side, side), torch.zeros(1, 1, side, side))
    green = torch.tensor([0.6, 0.8, 0.4])[None, :, None, None].expand(1, 3, side, side)
    shown = opening.finished(replace(painted, color=green)).color
    assert torch.allclose(shown[0, :, 40, 40], torch.tensor([0.6, 0.55, 0.4]), atol=1e-5)


def test_a_wide_open_mouth_is_dark_where_it_shows_no_teeth():
    side, found = PAINTED.size, []
    for height in (0, 10, 30):
        opening = plain_opening(0.5)
        opening.masks[:, :, height:] = 0.0  # below it, lips
        painted = opening.painted(torch.zeros(1, 3, side, side), torch.zeros(1, 1, side, side))
        lost = 1 - opening.shaded(painted).color / painted.color
        assert lost[..., height + 4 :, :].max() < 1e-6, "skin and lips stay as they are"
        found.append([float(part.amax()) for part in lost.split(side // 2, 3)])
        assert lost[..., : side // 2 - 4].max() < 1e-6, "so do teeth"
    (_, shut), (_, narrow), (_, wide) = found
    assert shut == narrow == 0
    assert wide == pytest.approx(DARKER)


def test_lips_are_repainted_only_as_far_as_they_are_parted():
    side = PAINTED.size
    share, change = torch.full((1, 1, side, side), 0.9), torch.zeros(1, 3, side, side)
    wide, narrow, shut = (plain_opening(0.5, opened).painted(change, share) for opened in (1.0, 0.1, 0.0))
    assert wide.occlusion.max() == pytest.approx(1.0, abs=0.01)
    assert narrow.occlusion.max() == pytest.approx(0.1, abs=0.02)
    assert shut.occlusion.max() == 0


def test_a_portrait_without_teeth_gets_none_beside_one_that_has_some(shut, opened):
    model = LivePortrait.from_pretrained("mini")
    assert isinstance(model, MiniLivePortrait)
    both = portrait_of(model, shut.expand(2, -1, -1), count=2)
    with torch.inference_mode():
        teeth = take_teeth(model.renderer, replace(both, teeth=torch.tensor([NO_TEETH, 0])))
        (patch,) = painted_teeth(model, both, opened.expand(2, -1, -1), teeth)
    assert patch.which.tolist() == [1]  # type: ignore[union-attr]


def test_a_painter_of_teeth_survives_its_file(tmp_path):
    torch.manual_seed(0)
    renderer = MiniRenderer(MiniConfig(flow_channels=4, mouth_channels=8, eye_channels=8, teeth_channels=8))
    torch.nn.init.normal_(renderer.teeth_painter.last.weight)  # type: ignore[union-attr]
    renderer.teeth = bank_of((0.0, 0.1, 0.2))
    save(renderer, tmp_path)
    again = load(tmp_path).renderer
    seen = torch.rand(3, TeethPainter.INPUTS, PAINTED.size, PAINTED.size)
    with torch.no_grad():
        mine = renderer.teeth_painter(seen)  # type: ignore[misc]
        again.precision = torch.float32
        for one, other in zip(mine, again.run(again.teeth_painter, seen), strict=True):
            assert torch.allclose(one, other, atol=0.02)


def test_pictures_and_tensors_show_the_same_teeth(shut, opened):
    model = LivePortrait.from_pretrained("mini")
    model.set_precision("fp32")
    assert isinstance(model, MiniLivePortrait)
    portrait = portrait_of(model, shut)
    shown = model.render(portrait, opened)
    quick = torch.from_numpy(model.picture_renderer(portrait)(opened, None)).permute(0, 3, 1, 2) / 255
    assert (shown - quick).abs().mean() < 0.004
    assert portrait.teeth is not None
    other = model.render(replace(portrait, teeth=(portrait.teeth + 1) % model.num_teeth), opened)
    assert (shown - other).abs().max() > 0.05
