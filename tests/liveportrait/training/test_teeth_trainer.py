"""Learning to paint teeth: examples stay registered, teeth are hidden, the loss falls, a resumed run is exact."""

from dataclasses import fields

import pytest
import torch
import torch.nn.functional as F
from made_up_mouths import TINY, made_up_mouths, untrained_renderer

from liveportrait.errors import PortraitError
from liveportrait.mini.face_model import lip_ratio
from liveportrait.mini.mouth_color import USUAL_SKIN, tint, usual_light
from liveportrait.mini.patches import sample
from liveportrait.mini.raster import pixel_grid
from liveportrait.mini.renderer import MiniRenderer
from liveportrait.mini.teeth import TEETH, TeethBank
from liveportrait.training.loop import change_settings
from liveportrait.training.mouth_batches import MouthBatches
from liveportrait.training.mouth_light import fit_light
from liveportrait.training.mouths import (
    BY_HAND,
    FRAMES,
    LENT,
    MouthSet,
    choose_pairs,
    lend_opening,
    work_out,
)
from liveportrait.training.perception import Perception
from liveportrait.training.teeth_trainer import (
    VIEW,
    TeethTrainConfig,
    TeethTrainer,
    adapted,
    unsteadiness,
    with_teeth_painter,
)

SHORT = TeethTrainConfig(
    channels=8,
    num_steps=20,
    batch_size=3,
    clip_share=0.33,
    warmup_steps=1,
    adversarial_start=1,
    bfloat16=False,
)
OPEN_STILLS, SHUT_STILL, SHUT_FRAME, OPEN_FRAME = (0, 1), 2, 3, 4


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
    network = Perception().requires_grad_(False)
    for weight in network.weights:
        weight.fill_(0.1)
    return network


@pytest.fixture
def trainer(renderer, mouths, perception):
    """Makes trainers that begin alike."""

    def make(*changes: str) -> TeethTrainer:
        torch.manual_seed(0)
        own = MiniRenderer(TINY)
        own.face.load_state_dict(renderer.face.state_dict())
        pictures = torch.full((2, 4, TEETH.size, TEETH.size), 255, dtype=torch.uint8)
        pictures[:, :3] = 40  # too dark
        own.teeth = TeethBank(pictures, torch.zeros(2, 3), usual_light())
        return TeethTrainer(change_settings(SHORT, changes), own.eval(), mouths, perception)

    return make


def test_pairs_open_again_open_in_a_clip_or_open_as_footage_does(renderer, mouths):
    pairs = choose_pairs(mouths, renderer.face, 0)
    assert [pair[1:] for pair in pairs if pair[0] == BY_HAND] == [(0, 0), (1, 1), (OPEN_FRAME, OPEN_FRAME)]
    assert [pair[1:] for pair in pairs if pair[0] == FRAMES] == [(SHUT_FRAME, OPEN_FRAME)]
    lent = {pair[1:] for pair in pairs if pair[0] == LENT}
    assert lent == {(0, OPEN_FRAME), (1, OPEN_FRAME), (SHUT_STILL, OPEN_FRAME)}


def test_a_shut_still_opens_like_its_lender(renderer, mouths):
    shut, lender = mouths.points[2:3], mouths.points[:1]
    opened = lend_opening(renderer.face, shut, lender)
    assert lip_ratio(shut).item() < 0.01
    assert lip_ratio(opened).item() == pytest.approx(lip_ratio(lender).item(), rel=0.1)


def test_a_still_shut_by_hand_hides_its_teeth_and_is_warped_onto_itself(trainer):
    run = trainer()
    batch = run.batches.batch(run.stills, torch.Generator().manual_seed(0))
    plain = run.batches.batch(run.stills, None)
    assert plain.target.max() > 0.9  # white
    assert plain.source[:, :3].max() < 0.75 and plain.warped.max() < 0.75
    for seen in (plain, batch):  # moving and recolouring keep pictures and masks together
        around = F.max_pool2d(seen.masks[:, :1], 9, 1, 4) < 0.1
        assert ((seen.warped - seen.target).abs() * around).mean() < 0.02
    assert float(plain.shown) == 0.0


def test_a_view_shows_the_same_as_the_whole_patch(trainer):
    run = trainer()
    whole, part = (run.batches.batch(run.stills, torch.Generator().manual_seed(2), view=view) for view in (None, VIEW))
    places = torch.tensor(VIEW.middle) + VIEW.reach * pixel_grid(VIEW.size, VIEW.size)
    for name in ("warped", "target", "masks"):
        difference = (sample(getattr(whole, name), places[None]) - getattr(part, name)).abs()
        assert difference.mean() < 0.02, name


def test_a_lent_mouth_is_bent_to_the_lips_and_takes_the_brightness_of_the_skin(trainer):
    run = trainer()
    work = run.look(run.lent[:1, 0])
    inside = (work.opening.masks[:, :1] > 0.9).expand(-1, 3, -1, -1)
    around = F.max_pool2d(work.opening.masks[:, :1], 9, 1, 4).expand(-1, 3, -1, -1) < 0.1
    assert work.truth[inside].mean() > 0.8  # white, as the footage is
    assert torch.equal(work.truth[around], work.sharp[around])
    dark, bright = (adapted(torch.full((1, 3, 2, 2), 0.5), torch.ones(1, 3), torch.full((1, 3), v)) for v in (0.7, 1.4))
    assert dark.mean().item() == pytest.approx(0.35) and bright.mean().item() == pytest.approx(0.7)


def test_in_grey_pictures_a_lent_mouth_is_grey():
    grey = 0.5 / torch.tensor([USUAL_SKIN])
    pictures = torch.tensor([0.8, 0.4, 0.3])[None, :, None, None].expand(1, 3, 2, 2)
    assert adapted(pictures, torch.ones(1, 3), grey).std(1).max() < 1e-6


def test_masks_lie_on_the_mouth(trainer):
    run = trainer()
    batch = run.batches.batch(run.stills, torch.Generator().manual_seed(3))
    inside = batch.masks[:, :1] > 0.8
    assert batch.target.mean(1, keepdim=True)[inside].mean() > 1.2 * batch.target.mean(1, keepdim=True)[~inside].mean()


def test_the_loss_falls(trainer):
    run = trainer("adversarial_start=99", "learning_rate=0.003", "clip_share=0")
    before = sum(run.compute_gradients().values())
    for _ in range(15):
        run.train_step()
    run.step = 0
    assert sum(run.compute_gradients().values()) < 0.9 * before


def test_a_still_and_its_lent_opening_are_moved_alike_and_get_the_same_teeth(trainer):
    run = trainer("batch_size=2", "clip_share=0")
    work = run.draw(0)
    assert (work.stills, work.lent) == (1, 1)
    own, lent = work.opening.places
    assert torch.allclose(own, lent, atol=0.05)
    around = F.max_pool2d(work.opening.masks[:, :1].amax(0, keepdim=True), 15, 1, 7) < 0.1
    assert ((work.sharp[0] - work.sharp[1]).abs() * around).mean() < 0.05


def test_teeth_that_move_are_unsteady():
    inside = torch.ones(2, 1, 24, 24)
    stripes = (torch.arange(24) % 8 < 4).float().expand(1, 3, 24, 24)
    dots = (torch.arange(24) % 2).float().expand(1, 3, 24, 24)
    for other, least, most in ((stripes, -1e-6, 1e-6), (0.5 * stripes, 0.2, 0.4), (stripes.roll(4, -1), 0.9, 1)):
        assert least < float(unsteadiness(torch.cat([stripes, other]), inside, 1, 1)) < most
    lighter = unsteadiness(torch.cat([stripes, stripes + 0.2]), inside, 1, 1)
    softer = unsteadiness(0.5 * torch.cat([stripes, stripes.roll(4, -1)]), inside, 1, 1)
    assert float(lighter) == pytest.approx(0, abs=1e-6)
    dotted = unsteadiness(torch.cat([stripes, stripes.roll(4, -1)]) + dots, inside, 1, 1)
    assert float(softer) > 0.9 and float(dotted) > 0.8  # blur and dots do not help


def test_the_discriminator_pushes_as_hard_as_asked(trainer):
    without, with_it = trainer("adversarial_share=0"), trainer("adversarial_share=1")
    for run in (without, with_it):
        run.step = 1
        run.compute_gradients()
    last = [run.painter.last.weight.grad for run in (without, with_it)]
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
    assert run.batches.examples.source[run.validation].tolist() == [1]
    figures = run.validate()
    assert set(figures) == {"looks", "colour error", "unsteadiness", "sharpness"}
    assert figures["looks"] < 0 < figures["colour error"]


def test_examples_do_not_depend_on_threads(renderer, mouths):
    pairs = choose_pairs(mouths, renderer.face, 0)
    one, two = (work_out(renderer, mouths, pairs, threads) for threads in (1, 2))
    assert torch.equal(one.to_warped, two.to_warped)


def test_light_is_fitted_to_the_colour_of_the_teeth(renderer, mouths):
    """Teeth are white, and so are those that are painted then, whatever the skin."""
    own = MiniRenderer(TINY)
    own.face.load_state_dict(renderer.face.state_dict())
    own.memory = torch.rand(1, 24, 16, 16)
    several = MouthSet(*(getattr(mouths, field.name)[[0] * 5] for field in fields(mouths)))
    light = fit_light(own.eval(), several)
    assert light.shape == (3, 4)
    pairs = [(BY_HAND, 0, 0)]
    batches = MouthBatches(64, several, work_out(own, several, pairs, 1), own.face, "cpu", 1)
    batch = batches.batch(torch.tensor([0]), None)
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
    own = MiniRenderer(TINY)
    own.face.load_state_dict(renderer.face.state_dict())
    own.memory = torch.rand(1, 24, 16, 16)
    with pytest.raises(PortraitError, match="1 open mouths"):
        fit_light(own, mouths)


def test_the_trained_painter_paints_as_in_training(trainer, renderer, mouths):
    """What the renderer shows of a still that is shut by hand is what the trainer showed."""
    run = trainer()
    torch.nn.init.normal_(run.painter.last.weight, std=0.05)
    work = run.look(run.stills, sets=torch.tensor([0]))
    with torch.no_grad():
        painted, _ = run.paint(work)
        made = with_teeth_painter(run.renderer, run.painter.state_dict())
        assert made.config.teeth_channels == 8 and made.teeth is run.bank
        change, share = made.run(made.teeth_painter, work.opening.seen())
        again = work.opening.painted(change, share)
    assert torch.allclose(painted.color, again.color, atol=1e-5)
    assert torch.allclose(painted.occlusion, again.occlusion, atol=1e-5)


def test_a_painter_of_teeth_needs_sets_of_teeth_and_open_mouths(renderer, mouths, perception):
    with pytest.raises(PortraitError, match="no sets of teeth"):
        TeethTrainer(SHORT, renderer, mouths, perception)
