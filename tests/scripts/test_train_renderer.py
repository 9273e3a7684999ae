"""Training the renderer: the loss falls, a resumed run is the run that never stopped, typing mistakes are errors."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from perception import Perception
from renderer_data import ClipSet, PairSampler
from renderer_losses import Judge, judge_loss, persuading_loss
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
    return ClipSet(frames, points, [(0, 4), (4, 8)], ["one", "other"], [100.0, 400.0])


@pytest.fixture(scope="module")
def perception() -> Perception:
    """A network that has learned nothing still tells pictures apart."""
    torch.manual_seed(0)
    network = Perception(stages=3).requires_grad_(False)
    for weight in network.weights:
        weight.fill_(0.1)
    return network


@pytest.fixture(scope="module")
def trainer(face, clips, perception):
    """Makes trainers of tiny networks."""
    return lambda config=SHORT: Trainer(config, face.state_dict(), clips, clips, perception, TINY)


def learned(run: Trainer) -> set[str]:
    """Take a step and return which parts of the renderer changed."""
    before = {name: value.clone() for name, value in run.renderer.named_parameters()}
    run.train_step()
    return {
        name.split(".")[0] for name, value in run.renderer.named_parameters() if not torch.equal(value, before[name])
    }


def test_the_loss_falls(trainer):
    run = trainer(override(SHORT, ["adversarial_start=99", "learning_rate=0.002"]))
    batch = run.sampler.batch(0, 4)
    before = sum(run.gradients(batch)[0].values())
    for _ in range(40):
        run.train_step()
    assert sum(run.gradients(batch)[0].values()) < 0.9 * before


def test_parts_learn_alone(trainer):
    assert learned(trainer(override(SHORT, ["parts=flow", "adversarial_start=0"]))) == {"flow"}
    assert learned(trainer(override(SHORT, ["parts=paint"]))) == {"mouth", "eyes"}
    assert learned(trainer()) == {"flow", "mouth", "eyes"}


def test_looks_count_as_much_as_asked(trainer):
    """Without a weight they are reported and change nothing; with one they do."""
    without, with_them = (trainer(override(SHORT, [f"perceptual_weight={weight}"])) for weight in (0, 1))
    batch = without.sampler.batch(0, 2)
    (losses, plain, _), (_, looking, _) = (run.gradients(batch) for run in (without, with_them))
    assert losses["looks"] > 0
    assert any(
        a is not None and b is not None and not torch.allclose(a, b) for a, b in zip(plain, looking, strict=True)
    )


def test_a_judge_learns_to_tell_blurred_from_sharp_and_can_be_persuaded(perception):
    torch.manual_seed(0)
    judge, masks = Judge(masks=1), torch.ones(4, 1, 32, 32)
    steps = torch.optim.Adam(judge.parameters(), 1e-3)
    for _ in range(60):
        real = torch.rand(4, 3, 32, 32)
        seen = [perception.features(p) for p in (torch.nn.functional.avg_pool2d(real, 5, 1, 2), real)]
        loss = judge_loss(judge, *seen, masks)
        steps.zero_grad()
        loss.backward()
        steps.step()
    assert loss.item() < 0.5
    assert persuading_loss(judge, seen[1], masks) < persuading_loss(judge, seen[0], masks)


def test_a_resumed_run_goes_on_exactly(trainer):
    whole = trainer()
    for _ in range(2):
        whole.train_step()
    saved = whole.state()
    saved = torch.load(_stored(saved), weights_only=True)
    whole.train_step()
    resumed = trainer()
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


def test_people_whose_faces_were_small_are_drawn_less(face, clips):
    even, keen = (PairSampler(clips, mirror_order(face.mean), 0, 0.5, 0.2, detail) for detail in (0.0, 1.0))
    assert even.clip_weights[0] == even.clip_weights[1]
    assert keen.clip_weights[0] == pytest.approx(0.5 * keen.clip_weights[1])


def test_pairs_come_from_one_clip_and_stay_registered(face, clips):
    """What the augmentation does to a picture it does to the points: the mouth stays under its landmarks."""
    source, x_s, driving, x_d, view = PairSampler(clips, mirror_order(face.mean), 0, 0.5, 0.2).batch(1, 4)
    assert source.shape == driving.shape == view.shape == (4, 3, 256, 256)
    moved = (x_s - x_d)[..., :2]
    assert (moved - moved.mean(1, keepdim=True)).abs().max() < 1e-4  # one shift for all points of a face


def test_override_knows_its_names():
    assert override(SHORT, ["batch=7", "bfloat16=true"]).batch == 7
    with pytest.raises(typer.BadParameter, match="unknown setting"):
        override(SHORT, ["bach=7"])


def test_validation_names_crop_and_mouth(trainer):
    figures = trainer().validate()
    assert set(figures) == {f"{kind}_{part}" for kind in ("copy", "warp", "full") for part in ("crop", "mouth")}
