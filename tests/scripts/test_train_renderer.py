"""Training the renderer: the loss falls, a resumed run is the run that never stopped, typing mistakes are errors."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from renderer_data import ClipSet, PairSampler
from train_renderer import TrainConfig, Trainer, override

from liveportrait import LivePortrait
from liveportrait.mini.renderer import MiniConfig
from liveportrait.mini.validation import mirror_order

TINY = MiniConfig(flow_channels=4, mouth_channels=8, eye_channels=8, mouth_blocks=1, eye_blocks=1)
SHORT = TrainConfig(steps=20, batch=2, warmup=1, adversarial_start=1, bfloat16=False, learning_rate=3e-3)


@pytest.fixture(scope="module")
def face():
    return LivePortrait.from_pretrained("mini").renderer.face


@pytest.fixture(scope="module")
def clips(face) -> ClipSet:
    """Two clips of four frames: the mean face moves over smooth noise that stays."""
    rng = np.random.default_rng(0)
    frames = np.kron(rng.integers(0, 255, (1, 16, 16, 3)), np.ones((8, 16, 16, 1))).astype(np.uint8)
    shifts = torch.linspace(-0.1, 0.1, 8)[:, None, None] * torch.tensor([1.0, 0.5, 0.0])
    points = 0.4 * face.mean + torch.tensor([0.0, -0.2, 0.0]) + shifts
    return ClipSet(frames, points, [(0, 4), (4, 8)], ["one", "other"])


def trainer(face, clips, config=SHORT) -> Trainer:
    return Trainer(config, face.state_dict(), clips, clips, TINY)


def test_the_loss_falls(face, clips):
    run = trainer(face, clips, override(SHORT, ["adversarial_start=99", "learning_rate=0.002"]))
    batch = run.sampler.batch(0, 4)
    before = sum(run.gradients(batch)[0].values())
    for _ in range(40):
        run.train_step()
    assert sum(run.gradients(batch)[0].values()) < 0.9 * before


def test_flow_and_light_learn_alone(face, clips):
    run = trainer(face, clips, override(SHORT, ["painting=false", "adversarial_start=0"]))
    before = {name: value.clone() for name, value in run.renderer.named_parameters()}
    assert set(run.train_step()) == {"flow"}
    learned = {name for name, value in run.renderer.named_parameters() if not torch.equal(value, before[name])}
    assert learned and {name.split(".")[0] for name in learned} == {"flow"}


def test_a_resumed_run_goes_on_exactly(face, clips):
    whole = trainer(face, clips)
    for _ in range(2):
        whole.train_step()
    saved = whole.state()
    saved = torch.load(_stored(saved), weights_only=True)
    whole.train_step()
    resumed = trainer(face, clips)
    resumed.load(saved)
    resumed.train_step()
    assert resumed.step == whole.step == 3
    for name, value in whole.renderer.state_dict().items():
        assert torch.equal(resumed.renderer.state_dict()[name], value), name
    for name, value in whole.average.items():
        assert torch.equal(resumed.average[name], value), name


def _stored(state):
    import io

    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return file


def test_a_steps_data_depend_on_seed_and_step_alone(face, clips):
    sampler = PairSampler(clips, mirror_order(face.mean), 3, 0.5, 0.2)
    again = PairSampler(clips, mirror_order(face.mean), 3, 0.5, 0.2)
    sampler.batch(0, 2)
    for one, other in zip(sampler.batch(5, 2), again.batch(5, 2), strict=True):
        assert torch.equal(one, other)


def test_pairs_come_from_one_clip_and_stay_registered(face, clips):
    """What the augmentation does to a picture it does to the points: the mouth stays under its landmarks."""
    source, x_s, driving, x_d = PairSampler(clips, mirror_order(face.mean), 0, 0.5, 0.2).batch(1, 4)
    assert source.shape == driving.shape == (4, 3, 256, 256)
    moved = (x_s - x_d)[..., :2]
    assert (moved - moved.mean(1, keepdim=True)).abs().max() < 1e-4  # one shift for all points of a face


def test_override_knows_its_names():
    assert override(SHORT, ["batch=7", "bfloat16=true"]).batch == 7
    with pytest.raises(typer.BadParameter, match="unknown setting"):
        override(SHORT, ["bach=7"])


def test_validation_names_crop_and_mouth(face, clips):
    figures = trainer(face, clips).validate()
    assert set(figures) == {f"{kind}_{part}" for kind in ("copy", "warp", "full") for part in ("crop", "mouth")}
