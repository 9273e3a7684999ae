"""Stage I at tiny size: the loss falls, resume is exact, losses can be switched off, runs export."""

import os

import pytest
import torch
from torch import multiprocessing
from torch.nn import functional as F

from liveportrait.modules.generator import SpadeGenerator
from liveportrait.training.faces import POINTS, FaceSampler, FaceSet
from liveportrait.training.loop import TrainingError, change_settings
from liveportrait.training.perception import Perception
from liveportrait.training.processes import Processes
from liveportrait.training.sizes import SIZES
from liveportrait.training.spectral import add_spectral_norm
from liveportrait.training.stage1.config import WEIGHTS, Stage1Config, read_weights
from liveportrait.training.stage1.networks import KnownKeypoints, Stage1Networks
from liveportrait.training.stage1.trainer import Stage1Trainer

SIDE = SIZES["tiny"].output_size
SHORT = Stage1Config(
    size="tiny", num_steps=20, batch_size=2, warmup_steps=1, adversarial_start=1, discriminator_widths=4, scales=1,
    finest=0.5,
    learning_rate=2e-3, discriminator_layers=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    """Two clips in which a bright square moves with all landmarks, and a still."""
    random = torch.Generator().manual_seed(0)
    pictures, marks = torch.full((7, 3, SIDE, SIDE), 60, dtype=torch.uint8), []
    shape = 0.6 * torch.rand(len(POINTS), 2, generator=random) - 0.3
    for n, picture in enumerate(pictures):
        left = 12 + 4 * n
        picture[:, 20:44, left : left + 20] = 220
        marks.append(shape + torch.tensor([(2 * left + 20) / SIDE - 1, 0.0]))
    rotation = torch.eye(3).repeat(7, 1, 1)
    return FaceSet(
        [],
        torch.stack(marks),
        rotation,
        torch.tensor([0, 3, 6, 7]),
        ["a", "b", "c"],
        torch.tensor([False, False, True]),
        SIDE,
        pictures,
    )


@pytest.fixture(scope="module")
def look() -> Perception:
    """A network that has learned nothing still tells pictures apart."""
    torch.manual_seed(0)
    network = Perception(stages=1).requires_grad_(False)
    network.weights[0].fill_(0.1)
    return network


def same(one: dict, other: dict) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_the_loss_falls_and_the_model_beats_its_beginning(faces, look):
    run = Stage1Trainer(
        change_settings(SHORT, ["adversarial_start=99", "num_steps=99", "guide=10"]), faces, faces, look
    )
    before = run.train_step()
    for _ in range(10):
        after = run.train_step()
    for name in ("guide", "reconstruction", "keypoint_prior"):
        assert after[name] < 0.9 * before[name], name
    figures = run.validate()
    assert {"psnr", "copy_psnr", "lpips", "equivariance", "apd", "copy_apd"} <= set(figures)
    sheet = run.pictures()
    assert sheet is not None and sheet.shape == (3, 3 * SIDE, 5 * SIDE)
    assert torch.equal(sheet[:, SIDE : 2 * SIDE, :SIDE], faces.pictures(torch.tensor([3]))[0] / 255)


def test_a_resumed_run_goes_on_exactly(faces, look, tmp_path):
    whole = Stage1Trainer(SHORT, faces, None, look)
    for _ in range(2):
        whole.train_step()
    whole.save(tmp_path)
    losses = whole.train_step()
    resumed = Stage1Trainer(SHORT, faces, None, look)
    resumed.resume(tmp_path)
    assert resumed.train_step() == losses
    assert {"adversarial", "feature_matching", "discriminator"} <= set(losses)
    assert same(whole.networks.state_dict(), resumed.networks.state_dict())
    assert same(whole.discriminators.state_dict(), resumed.discriminators.state_dict())
    assert same(whole.average, resumed.average)


def test_a_batch_is_computed_in_equal_parts(faces, look):
    with pytest.raises(TrainingError, match="batch_size=2 cannot be divided"):
        Stage1Trainer(change_settings(SHORT, ["accumulate=3"]), faces, None, look).train_step()
    losses = Stage1Trainer(change_settings(SHORT, ["accumulate=2"]), faces, None, look).train_step()
    whole = Stage1Trainer(SHORT, faces, None, look).train_step()
    assert losses["head_pose"] == pytest.approx(whole["head_pose"], rel=1e-4)  # M has no batch norm


def test_losses_without_weight_are_not_computed(faces, look):
    off = change_settings(SHORT, [f"{name}=0" for name in ("guide", "adversarial", "feature_matching", "perceptual")])
    losses = Stage1Trainer(off, faces, None, look).train_step()
    kept = {"keypoint_prior", "head_pose", "deformation_prior", "openness", "reconstruction"}
    kept |= {f"perceptual_{part}" for part in ("face", "lips", "eyes")}
    assert set(losses) == kept | {"equivariance", "motion_balance", "landmark_flow"}


def test_frozen_networks_keep_weights_and_statistics(faces, look):
    run = Stage1Trainer(change_settings(SHORT, ["frozen=FM"]), faces, None, look)
    before = {name: value.clone() for name, value in run.networks.state_dict().items()}
    run.train_step()
    changed = {name.split(".")[0] for name, value in run.networks.state_dict().items() if not value.equal(before[name])}
    assert changed == {"warping", "generator"}
    with pytest.raises(TrainingError, match="no network is called X"):
        Stage1Trainer(change_settings(SHORT, ["frozen=XM"]), faces, None, look)


def test_identity_counts_if_a_network_is_given(faces, look):
    run = Stage1Trainer(SHORT, faces, None, look, lambda picture: F.adaptive_avg_pool2d(picture, 2).flatten(1))
    assert run.train_step()["identity"] >= 0


def test_a_model_goes_on_from_where_another_stopped(faces, look):
    run = Stage1Trainer(SHORT, faces, None, look)
    run.train_step()
    model = run.averaged()
    feature = torch.randn(1, 8, 8, 8)
    painted = model.generator(feature)
    again = Stage1Networks(model.config, model).eval()  # turns spectral norm on again
    assert torch.allclose(again.generator(feature), painted, atol=2e-3)


def test_spectral_norm_has_the_names_of_the_official_file():
    networks = Stage1Networks(SIZES["tiny"])
    names = set(networks.generator.state_dict())
    for block in ("G_middle_0.conv_0", "up_0.conv_s", "up_1.conv_1"):
        assert {f"{block}.weight_{part}" for part in ("orig", "u", "v")} <= names
    with pytest.raises(RuntimeError):
        add_spectral_norm(networks.generator)


@pytest.mark.parametrize(
    ("text", "message"),
    [("guide: 1", "expected the weights"), ("- guide", "expected the weights"), (": [", "not readable as YAML")],
)  # fmt: skip
def test_a_bad_file_of_weights_is_an_error(tmp_path, text, message):
    file = tmp_path / "weights.yaml"
    file.write_text(text)
    with pytest.raises(TrainingError, match=message):
        read_weights(file)


def test_weights_are_numbers(tmp_path):
    file = tmp_path / "weights.yaml"
    file.write_text(WEIGHTS.read_text().replace("head_pose: 7.0", "head_pose: much"))
    with pytest.raises(TrainingError, match="head_pose is 'much'"):
        read_weights(file)


def test_motion_extractor_and_masks_learn_at_rates_of_their_own(faces, look):
    run = Stage1Trainer(change_settings(SHORT, ["motion_rate=0.25", "mask_rate=0.05"]), faces, None, look)
    run.train_step()
    groups = run.optimizers["generator_optimizer"].param_groups
    rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    found = {name: rates[id(parameter)] for name, parameter in run.networks.named_parameters()}
    usual = found["generator.fc.weight"]
    for name, rate in found.items():
        masks = name.startswith(("warping.dense_motion_network.mask.", "warping.dense_motion_network.occlusion."))
        assert rate == usual * (0.25 if name.startswith("motion_extractor.") else 0.05 if masks else 1.0), name


def test_motion_extractor_learns_alone_first(faces, look, tmp_path):
    changes = ["motion_steps=4", "motion_batch=3", "motion_peak=0.001", "motion_rate=0.25", "num_steps=6"]
    config = change_settings(SHORT, changes)
    run = Stage1Trainer(config, faces, None, look)
    before = {name: value.clone() for name, value in run.networks.state_dict().items()}
    for _ in range(4):
        losses = run.train_step()
    assert set(losses) == {"equivariance", "keypoint_prior", "head_pose", "deformation_prior", "guide", "openness"}
    changed = {name.split(".")[0] for name, value in run.networks.state_dict().items() if not value.equal(before[name])}
    assert changed == {"motion_extractor"}
    run.save(tmp_path)
    assert "adversarial" in (losses := run.train_step())
    rates = [group["lr"] for group in run.optimizers["generator_optimizer"].param_groups]
    assert rates == [0.25 * SHORT.learning_rate, SHORT.mask_rate * SHORT.learning_rate, SHORT.learning_rate]
    resumed = Stage1Trainer(config, faces, None, look)
    resumed.resume(tmp_path)
    assert resumed.train_step() == losses
    assert same(run.networks.state_dict(), resumed.networks.state_dict())


def _process(rank, faces, look, folder):
    torch.set_num_threads(1)
    os.environ |= {"WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank), "ACCELERATE_USE_CPU": "true"}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}  # asked for, but the store takes their place
    store = torch.distributed.FileStore(str(folder / "store"), 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    config = change_settings(SHORT, ["motion_steps=2", "motion_batch=2", "num_steps=4"])
    run = Stage1Trainer(config, faces, None, look, processes=Processes("cpu"))
    for _ in range(4):
        run.train_step()
    torch.save(dict(run.networks.named_parameters()), folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def test_processes_share_their_gradients_while_motion_learns_alone_and_after(faces, look, tmp_path, quick_processes):
    multiprocessing.start_processes(_process, (faces, look, tmp_path), nprocs=2, start_method="forkserver")
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    start = dict(Stage1Trainer(SHORT, faces, None, look).networks.named_parameters())
    assert same(one, other) and not same(one, start)


def test_landmarks_take_the_place_of_guided_keypoints_in_the_drawn_pairs(faces, look):
    x_s, x_d, marks_s, marks_d = torch.rand(4, 2, 21, 3)
    known = KnownKeypoints(torch.tensor([True, False]), (3, 5), marks_s[:, :2, :2], marks_d[:, :2, :2])
    for x, marks, found in zip((x_s, x_d), (marks_s, marks_d), known.put_into(x_s, x_d), strict=True):
        assert torch.equal(found[0, [3, 5], :2], marks[0, :2, :2]) and torch.equal(found[1], x[1])
        assert torch.equal(found[0, 4], x[0, 4]) and torch.equal(found[..., 2], x[..., 2])
    batch = FaceSampler(faces, 0, 0.4).batch(0, 2, "cpu")
    for share in (0, 1):
        run = Stage1Trainer(change_settings(SHORT, [f"known_share={share}"]), faces, None, look)
        found = run.known_keypoints(batch, torch.Generator())
        assert found is None if share == 0 else found.pairs.all()


def test_all_motions_stay_in_use(faces, look):
    changes = [
        "adversarial_start=99",
        "num_steps=99",
        "learning_rate=0.002",
        "warmup_steps=1",
        "landmark_flow=0",
        "known_share=0",
    ]

    def balance(*further):
        run = Stage1Trainer(change_settings(SHORT, [*changes, *further]), faces, None, look)
        return [run.train_step()["motion_balance"] for _ in range(25)][-1]

    assert balance("mask_rate=0.03") < 0.1
    assert balance("mask_rate=1", "motion_balance=0.000001") > 0.5


@pytest.mark.parametrize(("size", "side"), [("official", 512), ("small", 256), ("toy", 64), ("tiny", 64)])
def test_output_size_is_the_side_that_the_decoder_returns(size, side):
    config = SIZES[size]
    feature = config.input_size // 2**config.appearance.num_down
    with torch.device("meta"):
        shown = SpadeGenerator(config.generator)(torch.rand(1, config.generator.feature_channels, feature, feature))
    assert config.output_size == side == shown.shape[-1]
