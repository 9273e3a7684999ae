"""The embedded model as a whole: tiny random networks first, then the weights that ship."""

import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch

from liveportrait import Crop, LivePortrait, PortraitModel, SpeechMotion
from liveportrait.errors import WeightsError
from liveportrait.keypoints import rotation_matrix, transform_keypoints
from liveportrait.mini import load, save
from liveportrait.mini.dense_residual import DENSE_RESIDUAL_SIZE
from liveportrait.mini.exposure import BRIGHT_SKIN, MOST, exposure
from liveportrait.mini.face_model import eye_ratio, lip_ratio
from liveportrait.mini.mouth_color import USUAL_SKIN, tint, usual_light
from liveportrait.mini.pictures import prepare_source
from liveportrait.mini.raster import pixel_grid, polygon_masks
from liveportrait.mini.regions import KEYPOINTS, LIPS_INNER, rows
from liveportrait.mini.renderer import MiniConfig, MiniRenderer
from liveportrait.motion import Layers
from liveportrait.pictures import to_pictures


@pytest.fixture(scope="module")
def model() -> PortraitModel:
    return LivePortrait.from_pretrained("mini")


@pytest.fixture(scope="module")
def crop(model) -> Crop:
    """The mean face, a little open-mouthed, over a smooth random picture."""
    picture = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    image = torch.nn.functional.interpolate(picture, (256, 256), mode="bicubic").clamp(0, 1)
    landmarks = torch.zeros(1, 478, 3)
    landmarks[:, list(KEYPOINTS)] = 0.4 * model.renderer.face.mean + torch.tensor([0.0, -0.2, 0.0])
    return Crop(image, landmarks)


def at_rest(model, frames: int = 1) -> SpeechMotion:
    return SpeechMotion(
        expression=torch.zeros(frames, model.renderer.face.expression_basis.shape[0]),
        lip_ratio=torch.zeros(frames, 1),
        eye_openness=torch.ones(frames, 2),
        gaze_deg=torch.zeros(frames, 2),
        rotation=torch.eye(3).repeat(frames, 1, 1),
        translation=torch.zeros(frames, 3),
    )


def test_source_keypoints_are_the_posed_canonical_ones(model, crop):
    portrait = model.encode(crop)
    x = transform_keypoints(portrait.x_c, portrait.motion)
    assert torch.allclose(x[..., :2], portrait.x_s[..., :2], atol=1e-5)


def test_rest_closes_the_lips_and_keeps_the_eyes(model, crop):
    portrait = model.encode(crop)
    x_d = model.speech_keypoints(portrait, at_rest(model))
    assert lip_ratio(portrait.x_s).item() > 0.02
    assert lip_ratio(x_d).item() < 0.01
    assert torch.allclose(eye_ratio(x_d), eye_ratio(portrait.x_s), atol=0.02)


def test_a_blink_shuts_the_asked_eye_only(model, crop):
    portrait = model.encode(crop)
    x_d = model.speech_keypoints(portrait, replace(at_rest(model), eye_openness=torch.tensor([[0.0, 1.0]])))
    left, right = eye_ratio(x_d)[0].tolist()
    own = eye_ratio(portrait.x_s)[0].tolist()
    assert left < 0.3 * own[0]
    assert right == pytest.approx(own[1], abs=0.02)


def test_the_first_mouth_component_opens_or_closes_without_crossing_lips(model, crop):
    portrait = model.encode(crop)
    for sign in (-1.0, 1.0):
        wide = at_rest(model).expression.index_fill(1, torch.tensor([0]), 2 * sign)
        moved = model.speech_keypoints(portrait, replace(at_rest(model), expression=wide))
        head = model.renderer.face.to_head(moved, model.renderer.face.pose(moved))
        assert model.renderer.face.lip_gaps(head).min() > -0.02


def test_turning_the_head_to_the_right_moves_the_nose_to_the_right(model, crop):
    portrait, nose = model.encode(crop), rows((1,))
    still = model.speech_keypoints(portrait, at_rest(model))
    turn = rotation_matrix(torch.zeros(1), torch.tensor([10.0]), torch.zeros(1))
    moved = model.speech_keypoints(portrait, replace(at_rest(model), rotation=turn))
    away = rotation_matrix(torch.zeros(1), torch.tensor([-10.0]), torch.zeros(1))
    back = model.speech_keypoints(portrait, replace(at_rest(model), rotation=away))
    assert ((moved - still)[0, nose, 0] * (back - still)[0, nose, 0]).item() < 0


@pytest.mark.parametrize(("own_deg", "followed_deg"), [(0, 10), (20, 10), (27.5, 7), (-35, 4), (60, 4)])
def test_a_head_that_is_far_turned_follows_less_of_the_motion_of_speech(model, crop, own_deg, followed_deg):
    portrait = model.encode(crop)
    own = rotation_matrix(torch.zeros(1), torch.tensor([float(own_deg)]), torch.zeros(1))
    portrait = replace(portrait, motion=replace(portrait.motion, rotation=own))
    turn = rotation_matrix(torch.zeros(1), torch.tensor([10.0]), torch.zeros(1))
    still = model.speech_keypoints(portrait, at_rest(model))
    moved = model.speech_keypoints(portrait, replace(at_rest(model), rotation=turn))
    expected = rotation_matrix(torch.zeros(1), torch.tensor([float(followed_deg)]), torch.zeros(1))
    found = model.renderer.face.pose(moved).rotation @ model.renderer.face.pose(still).rotation.transpose(1, 2)
    assert torch.allclose(found, expected, atol=0.02)


@pytest.mark.parametrize("frames", [1, 3])
def test_render_gives_pictures_in_range(model, crop, frames):
    portrait = model.encode(crop)
    result = model.render(portrait, model.speech_keypoints(portrait, at_rest(model, frames)))
    assert result.shape == (frames, 3, 256, 256)
    assert result.min() >= 0 and result.max() <= 1


def test_frames_do_not_depend_on_their_batch(crop):
    """But for rounding."""
    model = LivePortrait.from_pretrained("mini")
    portrait = model.encode(crop)
    coefficients = torch.randn(
        3, model.renderer.face.expression_basis.shape[0], generator=torch.Generator().manual_seed(1)
    )
    x_d = model.speech_keypoints(portrait, replace(at_rest(model, 3), expression=coefficients))
    for precision, step in (("bf16", 2e-3), ("fp32", 1e-5)):
        model.set_precision(precision)
        together = model.render(portrait, x_d)
        alone = torch.cat([model.render(portrait, x) for x in x_d.split(1)])
        assert torch.allclose(together, alone, rtol=0, atol=step)


def test_only_eyes_that_move_are_painted(crop, monkeypatch):
    model = LivePortrait.from_pretrained("mini")
    model.set_precision("fp32")
    portrait, motion = model.encode(crop), at_rest(model, 3)
    motion.eye_openness[1, 1] = 0.0
    motion.gaze_deg[2] = 12.0
    x_d, renderer, painted = model.speech_keypoints(portrait, motion), model.renderer, []
    run = renderer.run

    def recorded(network, *inputs):
        painted.append((network, len(inputs[0])))
        return run(network, *inputs)

    monkeypatch.setattr(renderer, "run", recorded)
    shown = model.render(portrait, x_d)
    assert [count for network, count in painted if network is renderer.eyes.decoder] == [3]  # one lid, two irises
    model.render(portrait, x_d[:1])
    assert painted[-1][0] is not renderer.eyes.decoder
    for n in range(3):
        torch.testing.assert_close(model.render(portrait, x_d[n : n + 1]), shown[n : n + 1], atol=1e-5, rtol=0)


def speaking(model, portrait) -> torch.Tensor:
    """Keypoints of three frames in which the face talks and blinks."""
    generator = torch.Generator().manual_seed(0)
    coefficients = torch.randn(3, model.renderer.face.expression_basis.shape[0], generator=generator)
    openness = torch.tensor([[1.0, 1.0], [0.4, 0.5], [0.0, 0.0]])
    return model.speech_keypoints(portrait, replace(at_rest(model, 3), expression=coefficients, eye_openness=openness))


def levels_apart(shown, expected) -> np.ndarray:
    return np.abs(shown.astype(int) - to_pictures(expected).astype(int))


@pytest.mark.parametrize("residual", [None, 0.03])
@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (0.7, 0.6, 0.0)], ids=["inside", "at the edge of the crop"])
def test_pictures_are_what_is_rendered(model, crop, residual, shift):
    """Rounded: positions to 1/32 pixel, colours to whole levels before and after painting."""
    portrait = model.encode(crop)
    x_d = speaking(model, portrait) + torch.tensor(shift)
    dense = None if residual is None else torch.full((3, 3, DENSE_RESIDUAL_SIZE, DENSE_RESIDUAL_SIZE), residual)
    found = levels_apart(model.picture_renderer(portrait)(x_d, dense), model.render(portrait, x_d, dense))
    assert found.max() <= 3
    assert found.mean() < 0.5


@pytest.fixture
def layered(crop) -> Crop:
    """The face's crop, with a disc around the face before a background of stripes."""
    x, y = pixel_grid(256, 256).unbind(-1)
    disc = (0.6 - (x.square() + (y + 0.2).square()).sqrt()).mul(20).clamp(0, 1)[None, None]
    stripes = (x * 40).sin().mul(0.5).add(0.5).expand(1, 3, -1, -1)
    return replace(crop, image=torch.lerp(stripes, crop.image, disc), layers=Layers(crop.image, disc, stripes))


def test_the_background_of_layers_stays_and_the_person_moves(model, layered):
    portrait = model.encode(layered)
    turn = rotation_matrix(torch.zeros(1), torch.tensor([15.0]), torch.zeros(1))
    still, turned = (
        model.speech_keypoints(portrait, replace(at_rest(model), **moved)) for moved in ({}, {"rotation": turn})
    )
    shown, rest = model.render(portrait, turned), model.render(portrait, still)
    outside = layered.layers.opacity.expand(-1, 3, -1, -1) == 0
    far = torch.nn.functional.max_pool2d(layered.layers.opacity, 41, 1, 20).expand(-1, 3, -1, -1) == 0
    assert far.float().mean() > 0.1 and shown[far].equal(layered.layers.background[far])
    assert (rest - layered.image)[outside].abs().mean() < 0.01
    assert (shown - rest)[~far].abs().mean() > 0.02
    without = model.encode(replace(layered, layers=None))
    assert (model.render(without, turned) - layered.image)[outside].abs().mean() > 0.02


def test_pictures_of_layers_are_what_is_rendered(model, layered):
    portrait = model.encode(layered)
    x_d = speaking(model, portrait) + torch.tensor([0.05, 0.0, 0.0])
    found = levels_apart(model.picture_renderer(portrait)(x_d, None), model.render(portrait, x_d))
    assert found.max() <= 4
    assert found.mean() < 0.5


def test_each_portrait_of_a_video_gives_its_own_picture(model, crop):
    portraits = model.encode(Crop(torch.cat([crop.image, 0.5 * crop.image]), crop.landmarks.repeat(2, 1, 1)))
    x_d = speaking(model, portraits[0])[:2]
    assert levels_apart(model.picture_renderer(portraits)(x_d, None), model.render(portraits, x_d)).max() <= 3


def test_a_portrait_is_prepared_for_pictures_once_and_then_forgotten_with_it(crop, monkeypatch):
    model, prepared = LivePortrait.from_pretrained("mini"), []
    portrait = model.encode(crop)

    def prepare(renderer, one, mouth):
        prepared.append(weakref.ref(source := prepare_source(renderer, one, mouth)))
        return source

    monkeypatch.setattr("liveportrait.mini.model.prepare_source", prepare)
    for _ in range(3):
        model.picture_renderer(portrait)(portrait.x_s, None)
    assert len(prepared) == 1 and prepared[0]() is not None
    del portrait
    assert prepared[0]() is None


def test_rendering_the_source_keypoints_keeps_the_picture_outside_mouth_and_eyes(model, crop):
    portrait = model.encode(crop)
    result = model.render(portrait, portrait.x_s)
    assert (result - crop.image)[:, :, :40].abs().max() < 0.1


def test_larger_crops_are_painted_at_the_size_of_the_training(model, crop):
    large = Crop(crop.image.repeat_interleave(2, 2).repeat_interleave(2, 3), crop.landmarks)
    assert torch.allclose(model.encode(large).f_s, model.encode(crop).f_s, atol=1e-5)


@pytest.mark.parametrize("begins_open", [False, True])
def test_a_mouth_that_was_shut_is_painted_from_memory(crop, begins_open):
    """Only inside the lips, and only where the source does not show it."""
    model = LivePortrait.from_pretrained("mini")
    model.set_precision("fp32")
    face, memory = model.renderer.face, model.renderer.memory
    assert memory is not None
    rest = model.speech_keypoints(model.encode(crop), at_rest(model))
    opened = rest + 0.4 * face.express(-2.0 * torch.eye(1, len(face.expression_basis)))
    landmarks = torch.zeros(1, 478, 3)
    landmarks[:, list(KEYPOINTS)] = opened if begins_open else rest
    portrait = model.encode(Crop(crop.image, landmarks))
    shown = model.render(portrait, opened)
    model.renderer.memory = -memory
    change = (model.render(portrait, opened) - shown).abs().amax(1)[0]
    inside = polygon_masks([opened[:, rows(LIPS_INNER), :2]], 256, 0.01)[0, 0] > 0
    near = torch.nn.functional.max_pool2d(inside[None, None].float(), 17, 1, 8)[0, 0] > 0
    assert change[~near].max() < 1e-5
    assert (change[inside].max() < 1e-5) == begins_open


def test_memory_takes_the_colour_of_the_skin():
    """Skin of the usual colour changes nothing, however bright; golden skin makes less blue of it."""
    masks = torch.zeros(2, 3, 8, 8)
    masks[:, 2], masks[:, 1, 2:4, 2:4] = 1.0, 1.0
    skin = torch.tensor([USUAL_SKIN, (0.75, 0.6, 0.2)])[:, :, None, None].expand(-1, -1, 8, 8).clone()
    skin[:, :, 2:4, 2:4] = 0.0  # lips do not count
    usual, golden = tint(0.8 * skin, masks, usual_light())[..., 0, 0]
    assert torch.allclose(usual, torch.ones(3), atol=1e-5)
    assert golden[2] < 0.9 < golden[1]


def test_memory_takes_half_of_the_skin_s_redness():
    """Skin four times as red, against green, as usual lends twice the redness."""
    masks = torch.zeros(1, 3, 4, 4)
    masks[:, 2] = 1.0
    red = 0.4 * torch.tensor(USUAL_SKIN) * torch.tensor([4.0, 1.0, 1.0])
    factors = tint(red[None, :, None, None].expand(-1, -1, 4, 4), masks, usual_light())[0, :, 0, 0]
    assert float(factors[0] / factors[1]) == pytest.approx(2.0, abs=1e-4)
    assert float(factors[2] / factors[1]) == pytest.approx(1.0, abs=1e-4)


def test_the_mouth_s_patch_has_the_size_of_the_config(model, crop, tmp_path):
    sizes = MiniConfig(flow_channels=4, mouth_channels=8, eye_channels=8, mouth_size=64, painted_size=96)
    renderer = MiniRenderer(sizes)
    renderer.face.load_state_dict(model.renderer.face.state_dict())
    save(renderer, tmp_path)
    again = load(tmp_path)
    portrait = again.encode(crop)
    assert portrait.f_s.shape[1] == 24 * 16 * 16 + 2 * 3 * 8 * 12 * 12
    assert again.render(portrait, portrait.x_s).shape == (1, 3, 256, 256)


def test_the_paint_follows_the_darkness_of_a_picture(crop):
    """The networks see pictures of any darkness alike, and what they make is darkened again."""
    model = LivePortrait.from_pretrained("mini")
    model.set_precision("fp32")
    face = model.renderer.face
    opened = model.speech_keypoints(model.encode(crop), at_rest(model))
    opened = opened - 0.8 * face.express(torch.eye(1, len(face.expression_basis)))
    dusk, night = (Crop(share * crop.image, crop.landmarks) for share in (0.2, 0.1))
    shown, darker = (model.render(model.encode(each), opened) for each in (dusk, night))
    assert shown.max() > 0.15
    assert (shown - 2 * darker).abs().max() < 1e-3


def test_only_dark_pictures_are_brightened(crop):
    x_s, picture = crop.landmarks[:, list(KEYPOINTS)], torch.full((1, 3, 64, 64), 0.3)
    dark_skin = picture.clone()
    dark_skin[..., 16:22, 8:56] = 0.7  # light on the brow
    for given, expected in ((dark_skin, 1), (picture, BRIGHT_SKIN / 0.3), (0 * picture, MOST)):
        assert exposure(given, x_s).item() == pytest.approx(expected, rel=1e-5)


def test_landmarks_are_required(model):
    with pytest.raises(ValueError, match="landmarks"):
        model.encode(Crop(torch.rand(1, 3, 64, 64)))


def test_save_and_load_round_trip(tmp_path):
    torch.manual_seed(0)
    renderer = MiniRenderer(MiniConfig(flow_channels=4, mouth_channels=8, eye_channels=8, mouth_blocks=1, eye_blocks=1))
    renderer.memory, renderer.light = torch.rand(1, 24, 24, 24), torch.rand(3, 4)
    save(renderer, tmp_path)
    again = load(tmp_path).renderer
    assert again.memory is not None and torch.allclose(again.memory, renderer.memory, atol=1e-3)
    assert torch.equal(again.light, renderer.light)
    for name, value in renderer.state_dict().items():
        assert torch.allclose(again.state_dict()[name], value, atol=1e-2), name


def test_a_truncated_checkpoint_is_named(tmp_path):
    from safetensors.torch import load_file, save_file

    save(MiniRenderer(MiniConfig(flow_channels=4, mouth_channels=8, eye_channels=8)), tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors.pop("flow.last.weight")
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=r"flow\.last\.weight"):
        load(tmp_path)


def test_precision_changes_little_and_unknown_ones_are_errors():
    model = LivePortrait.from_pretrained("mini")
    model.set_precision("bf16")
    assert model.renderer.precision == torch.bfloat16
    with pytest.raises(ValueError, match="fp32, bf16, fp16"):
        model.set_precision("int4")  # type: ignore[arg-type]
