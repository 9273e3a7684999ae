"""Every network against the reference's answers, through the real loader; limits are the reference's own."""

from __future__ import annotations

import hashlib

import pytest
import torch
from official_reference import Golden, checkpoint, golden, official_model

from liveportrait.keypoints import rotation_matrix, transform_keypoints
from liveportrait.modules.dense_motion import blend_motions, motion_heatmaps
from liveportrait.modules.motion_extractor import degrees_from_bins, face_pose
from liveportrait.modules.sampling import identity_grid, shift_volume
from liveportrait.modules.warping import Warped
from liveportrait.motion import Crop

# Largest difference allowed per kind of answer, about ten times what the reference differs from itself.
F_LIMIT, M_LIMIT, M_FLAT_LIMIT, DEGREES_LIMIT, X_LIMIT = 1e-4, 1e-5, 1e-4, 2e-4, 1e-5
MAP_LIMIT, WARPED_LIMIT, IMAGE_LIMIT, S_LIMIT, CHAIN_LIMIT = 3e-5, 2e-3, 2e-5, 2e-6, 5e-3


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.inference_mode():
        yield


def warp(case: str) -> Warped:
    warping, data = official_model().warping, golden()
    source = warping.prepare(data.input(f"W/{case}/feature"))
    return warping(source, data.input(f"W/{case}/kp_source"), data.input(f"W/{case}/kp_driving"))


def check_warp(case: str) -> None:
    warped, data = warp(case), golden()
    assert data.difference(f"W/{case}/deformation", warped.motion.deformation) < MAP_LIMIT
    assert data.difference(f"W/{case}/occlusion_map", warped.motion.occlusion) < MAP_LIMIT
    assert data.difference(f"W/{case}/out", warped.feature) < WARPED_LIMIT


def check_generator(case: str) -> None:
    image = official_model().generator(golden().input(f"G/{case}/feature"))
    assert golden().difference(f"G/{case}/image", image) < IMAGE_LIMIT


def test_appearance_extractor():
    volume = official_model().appearance_extractor(golden().input("input/image1"))
    assert golden().difference("F/image1/out", volume) < F_LIMIT


@pytest.mark.slow
def test_appearance_extractor_on_a_batch():
    volume = official_model().appearance_extractor(golden().input("input/image2"))
    assert golden().difference("F/image2/out", volume) < F_LIMIT


@pytest.mark.parametrize("image", ["image1", "image2", "black", "grey"])
def test_motion_extractor_heads(image: str):
    heads = official_model().motion_extractor(golden().input(f"input/{image}"))
    limit = M_FLAT_LIMIT if image in ("black", "grey") else M_LIMIT
    for name, head in heads._asdict().items():
        assert golden().difference(f"M/{image}/raw/{name}", head) < limit, name


@pytest.mark.parametrize("image", ["image1", "image2"])
def test_motion_extractor_in_plain_units(image: str):
    data = golden()
    pose = face_pose(official_model().motion_extractor(data.input(f"input/{image}")))
    for i, name in enumerate(("pitch", "yaw", "roll")):
        assert data.difference(f"M/{image}/refined/{name}", pose.angles_deg[:, i : i + 1]) < DEGREES_LIMIT
    assert data.difference(f"M/{image}/refined/kp", pose.x_c) < M_LIMIT
    assert data.difference(f"M/{image}/refined/exp", pose.motion.expression) < M_LIMIT
    assert data.difference(f"M/{image}/refined/t", pose.motion.translation) < M_LIMIT
    assert data.difference(f"M/{image}/refined/scale", pose.motion.scale) < M_LIMIT
    assert data.difference(f"M/{image}/rotation", pose.motion.rotation) < S_LIMIT
    for name in ("x", "x_from_raw") if image == "image2" else ("x",):
        assert data.difference(f"M/{image}/{name}", transform_keypoints(pose.x_c, pose.motion)) < X_LIMIT


def test_degrees_from_bins():
    degrees = degrees_from_bins(golden().input("camera/logits"))
    assert golden().difference("camera/degrees", degrees) < DEGREES_LIMIT
    plain = golden().output("camera/degrees_passthrough")
    assert degrees_from_bins(plain) is plain


def test_warping():
    check_warp("a")


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["native", "planar"])
@pytest.mark.parametrize("case", ["a", "b", "oob"])
def test_warping_with_either_sampler(case: str, sampler: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(official_model().warping, "sampler", sampler)
    check_warp(case)


def test_generator():
    check_generator("tiny")


@pytest.mark.slow
@pytest.mark.parametrize("case", ["a", "b"])
def test_generator_at_ordinary_size(case: str):
    check_generator(case)


def test_stitching_and_retargeting():
    model, data = official_model(), golden()
    for name, network in (("stitching", model.stitching), ("lip", model.retarget_lip), ("eye", model.retarget_eyes)):
        assert data.difference(f"S/{name}/out", network.mlp(data.input(f"S/{name}/x"))) < S_LIMIT
    x_s, x_d = data.input("S/kp_source"), data.input("S/kp_driving")
    eyes, lips = data.input("S/eye_ratio"), data.input("S/lip_ratio")
    assert data.difference("S/stitched", model.stitching(x_s, x_d)) < S_LIMIT
    assert data.difference("S/eye_delta", model.retarget_eyes(x_s, eyes[:, :2], eyes[:, 2:])) < S_LIMIT
    assert data.difference("S/lip_delta", model.retarget_lip(x_s, lips[:, :1], lips[:, 1:])) < S_LIMIT


@pytest.mark.slow
def test_networks_in_sequence():
    model, data = official_model(), golden()
    portrait = model.encode(Crop(data.input("input/image1")))
    driver = model.encode(Crop(data.input("chain/driving")))
    assert data.difference("chain/x_s", portrait.x_s) < X_LIMIT
    assert data.difference("chain/x_d", driver.x_s) < X_LIMIT
    image = model.render(portrait, driver.x_s)
    assert data.difference("chain/image", image) < CHAIN_LIMIT
    pixels = (image * 255).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    assert data.difference("chain/image_u8", pixels) <= 2


@pytest.mark.slow
def test_networks_in_sequence_from_given_keypoints():
    model, data = official_model(), golden()
    volume = model.appearance_extractor(data.input("input/image1"))
    x_s = data.input("chain/kp_source")
    warped = model.warping(model.warping.prepare(volume), x_s, x_s + data.input("chain/kp_delta"))
    assert data.difference("chain/image_small_motion", model.generator(warped.feature)) < CHAIN_LIMIT


class Progress:
    """Keeps what named modules return."""

    def __init__(self, modules: dict[str, torch.nn.Module]):
        self.seen: dict[str, torch.Tensor] = {}
        self.hooks = [
            module.register_forward_hook(lambda _, __, out, name=name: self.seen.__setitem__(name, out))
            for name, module in modules.items()
        ]

    def check(self, data: Golden, limits: dict[str, float], default: float) -> None:
        for hook in self.hooks:
            hook.remove()
        for name, value in self.seen.items():
            assert data.difference(name, value) < limits.get(name, default), name


@pytest.fixture(scope="module")
def inner(request: pytest.FixtureRequest) -> Golden:
    """The complete reference, with inner activations."""
    folder = request.config.rootpath.parent / "shared" / "reference"
    if not (folder / "golden_liveportrait.json").is_file():
        pytest.skip("the reference data is not beside the project")
    return Golden("golden_liveportrait", folder)


@pytest.mark.slow
@pytest.mark.shared
def test_inner_activations_of_the_appearance_extractor(inner: Golden):
    network = official_model().appearance_extractor
    parts = ["first", "down_blocks.0", "down_blocks.1", *(f"resblocks_3d.3dr{i}" for i in range(6))]
    watch = Progress({f"F/image1/debug/{part}": network.get_submodule(part) for part in parts})
    network(inner.input("input/image1"))
    watch.check(inner, {}, F_LIMIT)


@pytest.mark.slow
@pytest.mark.shared
def test_inner_activations_of_the_motion_extractor(inner: Golden):
    network = official_model().motion_extractor.detector
    parts = {"downsample_layers.0": "stem", "stages.0.0": "stages.0.blocks.0", "norm": "head.norm"}
    parts |= {f"stages.{i}": f"stages.{i}" for i in range(4)}
    parts |= {f"downsample_layers.{i}": f"stages.{i}.downsample" for i in range(1, 4)}
    watch = Progress({f"M/image1/debug/{name}": network.get_submodule(part) for name, part in parts.items()})
    network(inner.input("input/image1"))
    norm = watch.seen["M/image1/debug/norm"]
    watch.seen["M/image1/debug/norm"] = norm.flatten(1)
    watch.check(inner, {}, 1e-4)


@pytest.mark.slow
@pytest.mark.shared
def test_inner_activations_of_the_warping_network(inner: Golden):
    network = official_model().warping
    motion = network.dense_motion_network
    parts = {"mask_logits": "mask", "occlusion_logits": "occlusion", "hourglass": "hourglass"}
    parts |= {name: name for name in ("compress", "norm")}
    parts |= {name: name for i in range(5) for name in (f"hourglass.encoder.down_blocks.{i}",)}
    parts |= {name: name for i in range(5) for name in (f"hourglass.decoder.up_blocks.{i}",)}
    extracted = {f"W/a/debug/{name}": motion.get_submodule(part) for name, part in parts.items()}
    extracted |= {f"W/a/debug/{name}": network.get_submodule(name) for name in ("third", "fourth")}
    watch = Progress(extracted)
    kp_source, kp_driving = inner.input("W/a/kp_source"), inner.input("W/a/kp_driving")
    source = network.prepare(inner.input("W/a/feature"))
    network(source, kp_source, kp_driving)
    watch.check(inner, {"W/a/debug/third": WARPED_LIMIT, "W/a/debug/fourth": WARPED_LIMIT}, 2e-4)

    shifts = torch.nn.functional.pad(kp_source - kp_driving, (0, 0, 1, 0))
    moved = identity_grid(source.volume) + shifts[:, :, None, None, None]
    heatmaps = motion_heatmaps(kp_source, kp_driving, source.volume)[:, :, None]
    mask = watch.seen["W/a/debug/mask_logits"].softmax(1)
    assert inner.difference("W/a/debug/sparse_motion", moved) < 1e-6
    assert inner.difference("W/a/debug/heatmap", heatmaps) < 5e-6
    assert inner.difference("W/a/debug/deformed_feature", shift_volume(source.compressed, shifts)) < 3e-4
    assert inner.difference("W/a/debug/mask", mask) < MAP_LIMIT
    assert inner.difference("W/a/deformation", blend_motions(mask, shifts)) < MAP_LIMIT


@pytest.mark.slow
@pytest.mark.shared
def test_inner_activations_of_the_generator(inner: Golden):
    network = official_model().generator
    parts = ["fc", "G_middle_0.norm_0", "G_middle_0.conv_0", *(f"G_middle_{i}" for i in range(6))]
    parts += ["up_0.norm_s", "up_0.conv_s", "up_0", "up_1", "conv_img"]
    watch = Progress({f"G/a/debug/{part}": network.get_submodule(part) for part in parts})
    network(inner.input("G/a/feature"))
    watch.check(inner, {}, 1e-4)


def test_the_filled_weights_are_the_ones_the_reference_used():
    """A stand-in that fills wrongly would make every test above meaningless."""
    state = checkpoint("stitching_retargeting_module.pth")["retarget_mouth"]
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode() + state[name].numpy().tobytes())
    assert digest.hexdigest() == "acdbf269eb2dce35b909561a365e2cae290e30793f77694a9e6cb778fe5e740f"


def test_rotation_matrices():
    rotation = rotation_matrix(*golden().input("camera/euler").unbind(1))
    assert golden().difference("camera/rotation", rotation) < S_LIMIT
