"""The official model behind the common door, at toy size: shapes, batches, precision, and what a voice asks for."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from official_tiny import TINY, picture, tiny_official

from liveportrait.errors import PortraitError
from liveportrait.keypoints import rotation_matrix, transform_keypoints
from liveportrait.mini.face_model import embedded_face_model
from liveportrait.mini.regions import KEYPOINTS
from liveportrait.mini.speech import speaking_face
from liveportrait.modules.exact_conv import DepthSplitConv3d, SingleOutputConv2d, conv_of_upsampled
from liveportrait.modules.motion_extractor import MotionHeads, face_pose
from liveportrait.modules.sampling import identity_grid, sample_volume, shift_volume
from liveportrait.motion import Crop, Portrait, SpeechMotion
from liveportrait.official import OfficialPortrait, without_tf32
from liveportrait.official_map import official_map
from liveportrait.official_speech import speech_keypoints
from liveportrait.regions import FACE_MESH, GUIDE, OFFICIAL
from liveportrait.retarget import lip_ratio


@pytest.fixture(scope="module")
def model() -> OfficialPortrait:
    return tiny_official()


@pytest.fixture(scope="module")
def portrait(model: OfficialPortrait) -> Portrait:
    return model.encode(picture())


def inner_over_outer(portrait: Portrait) -> torch.Tensor:
    """The mouth's width between the inner corners over that between the outer ones; voices count by the inner."""
    left, right, outer_left, outer_right = (portrait.crop.landmarks[:, i, :2] for i in (78, 308, 61, 291))
    return ((left - right).norm(dim=1) / (outer_left - outer_right).norm(dim=1))[:, None]


def rest(portrait: Portrait, frames: int) -> SpeechMotion:
    """A voice that asks for nothing: the lips as they are, everything else unchanged."""
    own = lip_ratio(portrait.crop.landmarks, FACE_MESH) / inner_over_outer(portrait)
    return SpeechMotion(
        expression=torch.zeros(frames, 22),
        lip_ratio=own.expand(frames, 1),
        eye_openness=torch.ones(frames, 2),
        gaze_deg=torch.zeros(frames, 2),
        rotation=torch.eye(3).repeat(frames, 1, 1),
        translation=torch.zeros(frames, 3),
    )


@pytest.mark.parametrize("frames", [1, 3])
def test_encode(model: OfficialPortrait, frames: int):
    portrait = model.encode(picture(frames))
    assert len(portrait) == frames
    assert portrait.f_s.shape == (frames, 2, 4, 64, 64)
    assert portrait.x_c.shape == portrait.x_s.shape == (frames, 21, 3)
    assert portrait.motion.eye_ratio.shape == (frames, 2)
    torch.testing.assert_close(portrait.x_s, transform_keypoints(portrait.x_c, portrait.motion))


def test_crops_of_any_size_are_brought_to_256(model: OfficialPortrait):
    small = torch.rand(1, 3, 256, 256)
    large = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    for read in (lambda crop: model.encode(crop).motion, model.extract):
        torch.testing.assert_close(read(Crop(small)).expression, read(Crop(large)).expression)


def test_a_batch_is_read_like_its_pictures(model: OfficialPortrait):
    crop = picture(3)
    together = model.extract(crop)
    for i in range(3):
        alone = model.extract(crop[i])
        torch.testing.assert_close(together[i].expression, alone.expression, atol=1e-6, rtol=1e-4)
        assert torch.equal(together[i].lip_ratio, alone.lip_ratio)


def test_without_landmarks_there_are_no_ratios(model: OfficialPortrait):
    assert model.extract(picture(landmarks=False)).lip_ratio is None


@pytest.mark.parametrize("frames", [1, 3])
def test_render(model: OfficialPortrait, portrait: Portrait, frames: int):
    x_d = portrait.x_s + 0.1 * torch.randn(frames, 21, 3)
    crops = model.render(portrait, x_d)
    assert crops.shape == (frames, 3, 512, 512)
    assert crops.dtype == torch.float32
    assert crops.min() >= 0
    assert crops.max() <= 1


def test_frames_do_not_depend_on_their_batch(model: OfficialPortrait, portrait: Portrait):
    x_d = portrait.x_s + 0.1 * torch.randn(3, 21, 3)
    together = model.render(portrait, x_d)
    for i in range(3):
        torch.testing.assert_close(model.render(portrait, x_d[i : i + 1])[0], together[i], atol=1e-4, rtol=0)


def test_a_source_video_renders_each_frame_from_its_own_portrait(model: OfficialPortrait):
    portraits = model.encode(picture(2))
    x_d = portraits.x_s + 0.05
    together = model.render(portraits, x_d)
    for i in range(2):
        alone = model.render(portraits[i], x_d[i : i + 1])
        torch.testing.assert_close(alone[0], together[i], atol=1e-4, rtol=0)


def test_another_portrait_is_not_mistaken_for_the_last(model: OfficialPortrait):
    first, second = model.encode(picture(seed=1)), model.encode(picture(seed=2))
    one = model.render(first, first.x_s)
    two = model.render(second, second.x_s)
    assert not torch.equal(one, two)
    assert torch.equal(model.render(first, first.x_s), one)


def test_the_source_is_prepared_once(monkeypatch: pytest.MonkeyPatch):
    model = tiny_official()
    portrait = model.encode(picture())
    prepare, calls = model.warping.prepare, []
    monkeypatch.setattr(model.warping, "prepare", lambda volume: calls.append(1) or prepare(volume))
    for _ in range(3):
        model.render(portrait, portrait.x_s)
    assert len(calls) == 1


def test_misshapen_keypoints_are_named(model: OfficialPortrait, portrait: Portrait):
    with pytest.raises(ValueError, match=r"\(2, 20, 3\).*\(1, 21, 3\)"):
        model.render(portrait, torch.zeros(2, 20, 3))
    with pytest.raises(ValueError, match=r"\(3, 21, 3\).*\(2, 21, 3\)"):
        model.render(model.encode(picture(2)), torch.zeros(3, 21, 3))


def check_half_precision(portrait: Portrait, precision: str, device: str) -> None:
    exact, half = tiny_official(), tiny_official().to(device)
    half.set_precision(precision)
    x_d = portrait.x_s + 0.1 * torch.randn(2, 21, 3)
    image = half.render(portrait.to(device), x_d.to(device))
    assert image.dtype == torch.float32
    assert (image.cpu() - exact.render(portrait, x_d)).abs().mean() < 0.01
    encoded = half.encode(picture())
    assert encoded.f_s.dtype == encoded.x_s.dtype == torch.float32
    assert half.stitching.mlp[0].weight.dtype == torch.float32
    torch.testing.assert_close(encoded.x_s.cpu(), portrait.x_s, atol=0.05, rtol=0)


@pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this processor emulates bfloat16, which takes minutes"
)
def test_half_precision_is_close_and_keeps_geometry_exact(portrait: Portrait):
    check_half_precision(portrait, "bf16", "cpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_on_a_gpu(portrait: Portrait, precision: str):
    check_half_precision(portrait, precision, "cuda")


def test_geometry_stays_in_float32_where_networks_run_in_half_precision():
    generator = torch.Generator().manual_seed(0)
    heads = MotionHeads(*(torch.randn(2, n, generator=generator) for n in (63, 1, 66, 66, 66, 3, 63)))
    plain = face_pose(heads)
    with torch.autocast("cpu", torch.bfloat16):
        pose = face_pose(heads)
        x = transform_keypoints(pose.x_c, pose.motion)
    assert torch.equal(pose.motion.rotation, plain.motion.rotation)
    assert torch.equal(x, transform_keypoints(plain.x_c, plain.motion))


def test_tf32_is_off_while_float32_runs_and_back_afterwards():
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32
    with without_tf32():
        assert not cudnn.allow_tf32
        assert not torch.backends.cuda.matmul.allow_tf32
    assert cudnn.allow_tf32 == before


def test_fp16_on_a_cpu_is_refused(portrait: Portrait):
    model = tiny_official()
    model.set_precision("fp16")
    with pytest.raises(PortraitError, match="choose bf16 or fp32"):
        model.render(portrait, portrait.x_s)


def test_unknown_precision_is_refused(model: OfficialPortrait):
    with pytest.raises(ValueError, match="fp32, bf16, fp16"):
        model.set_precision("fp8")


def test_rendering_both_ways_of_sampling(portrait: Portrait):
    model = tiny_official()
    x_d = portrait.x_s + 0.1
    images = []
    for sampler in ("native", "planar"):
        model.warping.sampler = sampler
        images.append(model.render(portrait, x_d))
    torch.testing.assert_close(images[0], images[1], atol=1e-4, rtol=0)


def plain(model: OfficialPortrait, portrait: Portrait, x: torch.Tensor) -> torch.Tensor:
    """Lips left as they are and S, on keypoints x."""
    lips = portrait.motion.lip_ratio
    return model.stitching(portrait.x_s, x + model.retarget_lip(portrait.x_s, lips, lips))


def test_a_voice_that_asks_for_nothing(model: OfficialPortrait, portrait: Portrait):
    x_d = model.speech_keypoints(portrait, rest(portrait, 4))
    torch.testing.assert_close(x_d, plain(model, portrait, portrait.x_s).expand(4, -1, -1), atol=1e-5, rtol=0)


def test_a_voice_opens_the_lips_through_r_lip(model: OfficialPortrait, portrait: Portrait):
    wanted = torch.tensor([[0.0], [0.2], [0.4]])
    x_d = model.speech_keypoints(portrait, replace(rest(portrait, 3), lip_ratio=wanted))
    target = official_map().lip_ratio(wanted * inner_over_outer(portrait))
    moved = model.retarget_lip(portrait.x_s, portrait.motion.lip_ratio, target)
    torch.testing.assert_close(x_d, model.stitching(portrait.x_s, portrait.x_s + moved), atol=1e-5, rtol=0)
    assert (x_d[0] - x_d[2]).abs().max() > 1e-3


def test_a_voice_turns_and_shifts_the_head(model: OfficialPortrait, portrait: Portrait):
    turn = rotation_matrix(torch.tensor([5.0]), torch.tensor([-8.0]), torch.tensor([3.0]))
    asked = replace(rest(portrait, 1), rotation=turn, translation=torch.tensor([[0.1, -0.05, 0.7]]))
    right, down = official_map().position.tolist()
    posed = replace(
        portrait.motion,
        rotation=turn @ portrait.motion.rotation,
        translation=portrait.motion.translation + torch.tensor([[0.1 * right, -0.05 * down, 0.0]]),
    )
    expected = plain(model, portrait, transform_keypoints(portrait.x_c, posed))
    torch.testing.assert_close(model.speech_keypoints(portrait, asked), expected, atol=1e-5, rtol=0)


class Quiet(SimpleNamespace):
    """S, R_eyes and R_lip that change nothing, and record what they were asked for."""

    def __init__(self) -> None:
        super().__init__(asked={})
        for name in ("retarget_eyes", "retarget_lip"):
            setattr(self, name, lambda x_s, own, wanted, name=name: self._record(name, wanted, x_s))

    def _record(self, name: str, wanted: torch.Tensor, x_s: torch.Tensor) -> torch.Tensor:
        self.asked.setdefault(name, wanted)
        return torch.zeros_like(x_s)

    def stitching(self, x_s: torch.Tensor, x_d: torch.Tensor) -> torch.Tensor:
        return x_d


def changes(portrait: Portrait, asked: SpeechMotion, guided: bool = False) -> tuple[torch.Tensor, Quiet]:
    """How a voice changes the expression by itself, and what is left to R_eyes and R_lip."""
    networks = Quiet()
    moved = speech_keypoints(networks, portrait, asked, guided=guided) - portrait.x_s
    return moved / portrait.motion.scale[:, None], networks


@pytest.mark.parametrize(("gaze", "sign"), [((10.0, 0.0), 1), ((-10.0, 0.0), -1)])
def test_a_voice_turns_the_gaze_as_upstreams_slider(portrait: Portrait, gaze, sign):
    change, _ = changes(portrait, replace(rest(portrait, 1), gaze_deg=torch.tensor([gaze])))
    assert (sign * change[0, [11, 15], 0] > 5e-4).all()


def test_a_blink_moves_the_eyelids_and_leaves_the_rest_to_r_eyes(portrait: Portrait):
    change, networks = changes(portrait, replace(rest(portrait, 1), eye_openness=torch.zeros(1, 2)))
    assert (change[0, [11, 15], 1] > 0.005).all() and (change[0, [13, 16], 1] < -0.002).all()  # as upstream's wink
    assert 0.2 < float(networks.asked["retarget_eyes"]) < 0.3  # the map shuts usual eyes, and these read as more open


def opening() -> torch.Tensor:
    """Expression coefficients that open the mouth, shape (1, 22)."""
    face = embedded_face_model()
    return torch.linalg.lstsq(face.expression_basis.flatten(1).T, face.lip_response[4].flatten()).solution[None] * 0.1


def test_a_mouth_that_opens_by_its_coefficients_leaves_less_to_r_lip(portrait: Portrait):
    mouth = opening()
    asked = replace(rest(portrait, 1), lip_ratio=torch.tensor([[0.4]]))
    change, networks = changes(portrait, replace(asked, expression=mouth))
    _, without = changes(portrait, asked)
    rows = change[0].norm(dim=1).topk(2).indices.tolist()
    assert set(rows) <= set(OFFICIAL.lips)
    assert float(networks.asked["retarget_lip"]) < float(without.asked["retarget_lip"]) - 0.02


@pytest.mark.parametrize("turned", [0.0, 40.0])
def test_keypoints_that_follow_landmarks_move_as_far_as_these(portrait: Portrait, turned: float):
    face, zero = embedded_face_model(), torch.zeros(1)
    turn = rotation_matrix(zero, torch.tensor([turned]), zero)
    landmarks = portrait.crop.landmarks.clone()
    landmarks[:, list(KEYPOINTS)] = 0.6 * face.mean @ turn
    motion = replace(portrait.motion, rotation=turn)
    portrait = replace(
        portrait,
        crop=replace(portrait.crop, landmarks=landmarks),
        motion=motion,
        x_s=transform_keypoints(portrait.x_c, motion),
    )
    asked = replace(rest(portrait, 1), expression=opening(), lip_ratio=torch.tensor([[0.4]]))
    change, networks = changes(portrait, asked, guided=True)
    closed = face.close_lips(face.mean[None])
    moved = 0.6 * (speaking_face(face, closed, asked) - closed) @ turn / motion.scale
    for row, point in GUIDE.items():
        expected = moved[:, KEYPOINTS.index(point), :2] if row in OFFICIAL.lips else torch.zeros(1, 2)
        torch.testing.assert_close(change[:, row, :2], expected, atol=1e-5, rtol=0)
    assert change[0, 19, 1] - change[0, 20, 1] > 0.01  # the lower lip goes down
    assert change[..., 2].abs().max() < 1e-5 and change[0, list(set(range(21)) - set(GUIDE))].abs().max() < 1e-5
    _, without = changes(portrait, replace(asked, expression=torch.zeros(1, 22)), guided=True)
    assert float(networks.asked["retarget_lip"]) < float(without.asked["retarget_lip"]) - 0.02


def test_an_animal_without_landmarks_speaks_from_closed_lips():
    model = tiny_official(needs_landmarks=False)
    portrait = model.encode(picture(landmarks=False))
    frames = replace(rest(tiny_official().encode(picture()), 2), lip_ratio=torch.tensor([[0.0], [0.3]]))
    x_d = model.speech_keypoints(portrait, frames)
    moved = model.retarget_lip(portrait.x_s, torch.zeros(1, 1), official_map().lip_ratio(frames.lip_ratio))
    torch.testing.assert_close(x_d, model.stitching(portrait.x_s, portrait.x_s + moved), atol=1e-5, rtol=0)


def test_other_keypoints_speak_through_r_lip_and_r_eyes(portrait: Portrait):
    few = replace(
        portrait,
        x_c=portrait.x_c[:, :9],
        x_s=portrait.x_s[:, :9],
        motion=replace(portrait.motion, expression=portrait.motion.expression[:, :9]),
    )
    change, networks = changes(few, replace(rest(portrait, 2), lip_ratio=torch.tensor([[0.0], [0.3]])))
    assert change.shape == (2, 9, 3) and change.abs().max() < 1e-6
    assert float(networks.asked["retarget_lip"][1]) > 0.1


def test_both_ways_of_sampling_agree_everywhere():
    torch.manual_seed(0)
    volume, grid = torch.randn(2, 3, 5, 7, 6), torch.rand(2, 4, 9, 8, 3) * 3 - 1.5
    native, planar = (sample_volume(volume, grid, sampler) for sampler in ("native", "planar"))
    torch.testing.assert_close(native, planar, atol=1e-4, rtol=0)


def test_sampling_by_hand():
    volume = torch.arange(8.0).reshape(1, 1, 2, 2, 2)
    grid = torch.tensor([[-0.5, -0.5, -0.5], [0.0, -0.5, -0.5], [0.5, 0.5, 0.0], [0.5, 0.5, 1.5], [9.0, 9.0, 9.0]])
    for sampler in ("native", "planar"):
        values = sample_volume(volume, grid.view(1, 1, 1, 5, 3), sampler).flatten()
        torch.testing.assert_close(values, torch.tensor([0.0, 0.5, 5.0, 0.0, 0.0]), msg=sampler)


def test_shifting_a_volume_is_sampling_it_at_a_moved_grid():
    torch.manual_seed(0)
    volume = torch.randn(1, 3, 6, 8, 10)
    shifts = torch.tensor([[[0.0, 0, 0], [0.3, -0.2, 0.1], [1.5, 0, -3], [-0.77, 0.5, 0.9]]]).repeat(2, 1, 1)
    shifts[1] *= 0.5
    moved = shift_volume(volume, shifts)
    for b in range(2):
        for m in range(4):
            sampled = sample_volume(volume, (identity_grid(volume) + shifts[b, m])[None], "native")
            torch.testing.assert_close(moved[b, m], sampled[0], atol=1e-5, rtol=0)


def test_one_volume_serves_many_grids():
    volume, grid = torch.randn(1, 2, 3, 4, 4), torch.rand(3, 3, 4, 4, 3) * 2 - 1
    for sampler in ("native", "planar"):
        assert sample_volume(volume, grid, sampler).shape == (3, 2, 3, 4, 4)


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(9, 8), (12, 10), (3, 4)])
def test_convolving_without_enlarging(factor: int, size: tuple[int, int]):
    torch.manual_seed(0)
    x, conv = torch.randn(2, 3, *size), torch.nn.Conv2d(3, 4, 3, padding=1)
    expected = conv(torch.nn.functional.interpolate(x, scale_factor=factor, mode="nearest"))
    torch.testing.assert_close(conv_of_upsampled(x, conv.weight, conv.bias, factor), expected, atol=1e-5, rtol=0)


def test_convolving_a_volume_without_enlarging():
    torch.manual_seed(0)
    x, conv = torch.randn(1, 3, 4, 8, 9), torch.nn.Conv3d(3, 2, 3, padding=1)
    expected = conv(torch.nn.functional.interpolate(x, scale_factor=(1, 2, 2), mode="nearest"))
    torch.testing.assert_close(conv_of_upsampled(x, conv.weight, conv.bias, 2), expected, atol=1e-5, rtol=0)


def test_rearranged_convolutions_are_the_plain_ones():
    torch.manual_seed(0)
    deep, x = DepthSplitConv3d(3, 2, 7, padding=3), torch.randn(2, 3, 5, 9, 8)
    torch.testing.assert_close(deep(x), torch.nn.Conv3d.forward(deep, x), atol=1e-5, rtol=0)
    single, y = SingleOutputConv2d(6, 1, 7, padding=3), torch.randn(2, 6, 9, 8)
    torch.testing.assert_close(single(y), torch.nn.Conv2d.forward(single, y), atol=1e-5, rtol=0)


def test_sizes_are_upstreams_by_default():
    with torch.device("meta"):
        model = OfficialPortrait(type(TINY)(), needs_landmarks=True)
    count = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    assert count["appearance_extractor"] == pytest.approx(0.836e6, rel=0.01)
    assert count["motion_extractor"] == 28_118_728
    assert count["warping"] == pytest.approx(45.53e6, rel=1e-3)
    assert count["generator"] == pytest.approx(55.37e6, rel=1e-3)
    assert count["stitching"] + count["retarget_eyes"] + count["retarget_lip"] == 227_263
    assert (model.num_keypoints, model.crop_size) == (21, 512)


def test_dubbing_replaces_the_lips_expression(model: OfficialPortrait, portrait: Portrait) -> None:
    speech = SpeechMotion(
        expression=torch.zeros(1, len(embedded_face_model().expression_basis)),
        lip_ratio=torch.zeros(1, 1),
        eye_openness=torch.ones(1, 2),
        gaze_deg=torch.zeros(1, 2),
        rotation=torch.eye(3)[None],
        translation=torch.zeros(1, 3),
    )
    made = []
    for shift in (0.0, 0.3):
        expression = portrait.motion.expression.clone()
        expression[:, list(OFFICIAL.lips)] += shift
        talking = replace(portrait, motion=replace(portrait.motion, expression=expression))
        made.append(model.dubbed_keypoints(talking, speech, None))
    assert made[0].shape == (1, 21, 3) and torch.allclose(made[0], made[1])


def test_dubbing_closes_guided_lips_by_r_lip_alone(portrait: Portrait) -> None:
    guided = tiny_official()
    guided.config = replace(guided.config, guided=True)
    silent = rest(portrait, 1)
    assert torch.equal(guided.dubbed_keypoints(portrait, silent, None), guided.speech_keypoints(portrait, silent))
