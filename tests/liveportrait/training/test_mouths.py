"""Learning to paint mouths: examples stay registered, teeth are hidden, the loss falls, a resumed run is exact."""

from dataclasses import fields, replace

import pytest
import torch
import torch.nn.functional as F
from made_up_mouths import TINY, made_up_mouths, untrained_renderer

from liveportrait.errors import PortraitError
from liveportrait.mini.face_model import lip_ratio
from liveportrait.mini.mouth_color import tint
from liveportrait.mini.renderer import MiniRenderer
from liveportrait.training.loop import change_settings
from liveportrait.training.mouth_batches import MouthBatches
from liveportrait.training.mouth_light import fit_light
from liveportrait.training.mouth_trainer import MouthTrainConfig, MouthTrainer
from liveportrait.training.mouths import (
    BY_HAND,
    FRAMES,
    OPENED,
    MouthSet,
    choose_pairs,
    lend_opening,
    work_out,
)
from liveportrait.training.perception import Perception

SHORT = MouthTrainConfig(
    num_steps=20, batch_size=5, warmup_steps=1, adversarial_start=1, opened_share=0.2, bfloat16=False
)
OPEN_STILLS, SHUT_STILL = (0, 1), 2


@pytest.fixture(scope="module")
def renderer() -> MiniRenderer:
    return untrained_renderer()


@pytest.fixture(scope="module")
def mouths(renderer) -> MouthSet:
    return made_up_mouths(renderer)


@pytest.fixture(scope="module")
def perception() -> Perception:
    """A network that has learned nothing still tells pictures apart."""
    torch.manual_seed(0)
    network = Perception(stages=3).requires_grad_(False)
    for weight in network.weights:
        weight.fill_(0.1)
    return network


@pytest.fixture
def trainer(renderer, mouths, perception):
    """Makes trainers that begin alike."""

    def make(*changes: str) -> MouthTrainer:
        torch.manual_seed(0)
        own = MiniRenderer(TINY)
        own.face.load_state_dict(renderer.face.state_dict())
        return MouthTrainer(change_settings(SHORT, changes), own.eval(), mouths, perception)

    return make


def test_pairs_are_stills_with_themselves_and_frames_of_one_clip(renderer, mouths):
    pairs = choose_pairs(mouths, renderer.face, 0)
    assert [pair[1:] for pair in pairs if pair[0] == BY_HAND] == [(0, 0, 0), (1, 1, 1)]
    assert {pair[1:3] for pair in pairs if pair[0] == FRAMES} == {(0, 0), (3, 4), (4, 3)}
    lent = [pair for pair in pairs if pair[0] == OPENED]
    assert {source for _, source, _, _ in lent} == {0, SHUT_STILL}
    assert all(donor in (0, 4) for *_, donor in lent)  # the still that validates lends nothing


def test_a_shut_still_opens_like_its_donor(renderer, mouths):
    shut, donor = mouths.points[2:3], mouths.points[:1]
    opened = lend_opening(renderer.face, shut, donor)
    assert lip_ratio(shut).item() < 0.01
    assert lip_ratio(opened).item() == pytest.approx(lip_ratio(donor).item(), rel=0.1)


def test_a_still_shut_by_hand_hides_its_teeth_and_is_warped_onto_itself(trainer):
    run = trainer()
    batch = run.batches.batch(run.learned[BY_HAND], 1, torch.Generator().manual_seed(0))
    plain = run.batches.batch(run.learned[BY_HAND], 1, None)
    assert plain.target.max() > 0.9  # white
    assert plain.source[:, :3].max() < 0.75 and plain.warped.max() < 0.75
    for seen in (plain, batch):  # moving and recolouring keep pictures and masks together
        around = F.max_pool2d(seen.masks[:, :1], 9, 1, 4) < 0.1
        assert ((seen.warped - seen.target).abs() * around).mean() < 0.02
    assert float(plain.shown) == 0.0


def test_masks_lie_on_the_mouth(trainer):
    run = trainer()
    batch = run.batches.batch(run.learned[BY_HAND], 1, torch.Generator().manual_seed(3))
    inside = batch.masks[:, :1] > 0.8
    assert batch.target.mean(1, keepdim=True)[inside].mean() > 1.2 * batch.target.mean(1, keepdim=True)[~inside].mean()


def test_the_loss_falls(trainer):
    run = trainer("adversarial_start=99", "learning_rate=0.003")
    before = sum(run.compute_gradients().values())
    for _ in range(15):
        run.train_step()
    run.step = 0
    assert sum(run.compute_gradients().values()) < 0.9 * before


def test_the_discriminator_pushes_as_hard_as_asked(trainer):
    without, with_it = trainer("adversarial_share=0"), trainer("adversarial_share=1")
    for run in (without, with_it):
        run.step = 1
        run.compute_gradients()
    last = [run.painter.decoder.last.weight.grad for run in (without, with_it)]
    assert not torch.allclose(*last)
    assert all(parameter.grad is not None for parameter in with_it.discriminator.parameters())


def test_a_resumed_run_goes_on_exactly(trainer, tmp_path):
    whole = trainer()
    for _ in range(2):
        whole.train_step()
    whole.save(tmp_path)
    whole.train_step()
    resumed = trainer()
    resumed.resume(tmp_path)
    resumed.train_step()
    for name, value in whole.painter.state_dict().items():
        assert torch.equal(resumed.painter.state_dict()[name], value), name


def test_validation_judges_the_stills_that_are_held_out(trainer):
    run = trainer()
    assert run.examples.source[run.validation].tolist() == [1]
    figures = run.validate()
    assert set(figures) == {"looks", "colour error", "sharpness"}
    assert figures["looks"] < 0 < figures["colour error"]


def test_examples_do_not_depend_on_threads(renderer, mouths):
    pairs = choose_pairs(mouths, renderer.face, 0)
    one, two = (work_out(renderer, mouths, pairs, threads) for threads in (1, 2))
    assert torch.equal(one.to_warped, two.to_warped)


def test_light_is_fitted_to_the_colour_of_the_teeth(renderer, mouths):
    """Teeth are white, and so are those that are painted then, whatever the skin."""
    own = MiniRenderer(replace(TINY, mouth_bank=None))
    own.face.load_state_dict(renderer.face.state_dict())
    own.memory = torch.rand(1, 24, 16, 16)
    several = MouthSet(*(getattr(mouths, field.name)[[0] * 5] for field in fields(mouths)))
    light = fit_light(own.eval(), several)
    assert light.shape == (3, 4)
    pairs = [(BY_HAND, 0, 0, 0)]
    batches = MouthBatches(64, several, work_out(own, several, pairs, 1), own.face, "cpu", 1)
    batch = batches.batch(torch.tensor([0]), 1, None)
    with torch.no_grad():
        condition = own.mouth.condition(batch.warped, batch.masks, batch.shown)
        color = own.mouth.decoder(own.mouth.decoder.prepare(own.memory), condition)[0] * tint(
            batch.warped, batch.masks, light
        )
    teeth = color[0][:, batch.masks[0, 0] > 0.6]
    assert teeth.mean().item() == pytest.approx(batch.target[0][:, batch.masks[0, 0] > 0.6].mean().item(), abs=0.15)


def test_light_needs_a_memory_and_open_mouths(renderer, mouths):
    with pytest.raises(PortraitError, match="remembers no mouth"):
        fit_light(renderer, mouths)
    own = MiniRenderer(replace(TINY, mouth_bank=None))
    own.face.load_state_dict(renderer.face.state_dict())
    own.memory = torch.rand(1, 24, 16, 16)
    with pytest.raises(PortraitError, match="1 open mouths"):
        fit_light(own, mouths)
