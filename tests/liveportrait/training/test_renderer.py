"""Training the renderer: the loss falls, a resumed run is the run that never stopped, typing mistakes are errors."""

from dataclasses import replace

import pytest
import torch

from liveportrait.mini.face_model import lip_ratio
from liveportrait.mini.renderer import MiniConfig
from liveportrait.training.loop import TrainingError, change_settings
from liveportrait.training.losses import Discriminator, discriminator_loss, generator_loss
from liveportrait.training.pairs import ClipSet, PairSampler, Shares
from liveportrait.training.perception import Perception
from liveportrait.training.renderer import RendererTrainConfig, RendererTrainer, mouth_features
from liveportrait.training.shut_mouths import shut_mouths

TINY = MiniConfig(flow_channels=4, mouth_channels=8, eye_channels=8, mouth_blocks=1, eye_blocks=1)
SHARES = Shares(open=0.5, shut=0.0, close=0.2, still=0.2, detail=0.0)
SHORT = RendererTrainConfig(
    num_steps=20, batch_size=2, warmup_steps=1, adversarial_start=1, bfloat16=False, learning_rate=3e-3
)


@pytest.fixture(scope="module")
def perception() -> Perception:
    """A network that has learned nothing still tells pictures apart."""
    torch.manual_seed(0)
    network = Perception(stages=3).requires_grad_(False)
    for weight in network.weights:
        weight.fill_(0.1)
    return network


@pytest.fixture(scope="module")
def trainer(face, clips, stills, perception):
    """Makes trainers of tiny networks."""
    return lambda config=SHORT: RendererTrainer(config, face.state_dict(), clips, stills, clips, perception, TINY)


def learned(run: RendererTrainer) -> set[str]:
    """Take a step and return which parts of the renderer changed."""
    before = {name: value.clone() for name, value in run.renderer.named_parameters()}
    run.train_step()
    return {
        name.split(".")[0] for name, value in run.renderer.named_parameters() if not torch.equal(value, before[name])
    }


def test_the_loss_falls(trainer):
    run = trainer(change_settings(SHORT, ["adversarial_start=99", "learning_rate=0.002", "still_share=0"]))
    batch = run.sampler.batch(0, 4)
    before = sum(run.gradients(batch)[0].values())
    for _ in range(15):
        run.train_step()
    assert sum(run.gradients(batch)[0].values()) < 0.9 * before


def test_parts_learn_alone(trainer):
    assert learned(trainer(change_settings(SHORT, ["parts=flow", "adversarial_start=0"]))) == {"flow"}
    assert learned(trainer(change_settings(SHORT, ["parts=paint"]))) == {"mouth", "eyes"}
    assert learned(trainer()) == {"flow", "mouth", "eyes"}


def test_looks_count_as_much_as_asked(trainer):
    """Without a weight they are reported and change nothing; with one they do."""
    without, with_them = (trainer(change_settings(SHORT, [f"perceptual_weight={weight}"])) for weight in (0, 1))
    batch = without.sampler.batch(0, 2)
    (losses, plain, _), (_, looking, _) = (run.gradients(batch) for run in (without, with_them))
    assert losses["perceptual"] > 0
    assert any(
        a is not None and b is not None and not torch.allclose(a, b) for a, b in zip(plain, looking, strict=True)
    )


def test_a_discriminator_learns_to_tell_blurred_from_sharp(perception):
    torch.manual_seed(0)
    discriminator, masks = Discriminator(masks=1), torch.ones(4, 1, 32, 32)
    steps = torch.optim.Adam(discriminator.parameters(), 1e-3)
    for _ in range(60):
        real = torch.rand(4, 3, 32, 32)
        seen = [perception.features(p) for p in (torch.nn.functional.avg_pool2d(real, 5, 1, 2), real)]
        loss = discriminator_loss(discriminator, *seen, masks)
        steps.zero_grad()
        loss.backward()
        steps.step()
    assert loss.item() < 0.5
    assert generator_loss(discriminator, seen[1], masks) < generator_loss(discriminator, seen[0], masks)


def test_a_resumed_run_goes_on_exactly(trainer, tmp_path):
    whole = trainer()
    for _ in range(2):
        whole.train_step()
    whole.save(tmp_path)
    whole.train_step()
    resumed = trainer()
    resumed.resume(tmp_path)
    resumed.train_step()
    assert resumed.step == whole.step == 3
    for name, value in whole.renderer.state_dict().items():
        assert torch.equal(resumed.renderer.state_dict()[name], value), name
    for name, value in whole.average.items():
        assert torch.equal(resumed.average[name], value), name


def test_a_steps_data_depend_on_seed_and_step_alone(face, clips, stills):
    sampler, again = (PairSampler(clips, stills, face, 3, SHARES) for _ in range(2))
    sampler.batch(0, 2)
    for one, other in zip(sampler.batch(5, 2), again.batch(5, 2), strict=True):
        assert torch.equal(one, other)


def test_people_whose_faces_were_small_are_drawn_less(face, clips, stills):
    even, keen = (PairSampler(clips, stills, face, 0, replace(SHARES, detail=detail)) for detail in (0.0, 1.0))
    assert even.clip_weights[0] == even.clip_weights[1]
    assert keen.clip_weights[0] == pytest.approx(0.5 * keen.clip_weights[1])


def test_pairs_come_from_one_clip_and_stay_registered(face, clips, stills):
    """What the augmentation does to a picture it does to the points: the mouth stays under its landmarks."""
    sampler = PairSampler(clips, stills, face, 0, replace(SHARES, still=0.0))
    source, x_s, driving, x_d, view, _ = sampler.batch(1, 4)
    assert source.shape == driving.shape == view.shape == (4, 3, 256, 256)
    moved = (x_s - x_d)[..., :2]
    assert (moved - moved.mean(1, keepdim=True)).abs().max() < 1e-4  # one shift for all points of a face


def test_stills_are_paired_with_themselves_shut(face, clips, stills):
    source, x_s, driving, x_d, _, paired = PairSampler(clips, stills, face, 0, replace(SHARES, still=1.0)).batch(0, 2)
    assert paired.tolist() == [0, 0]
    gaps = [face.lip_gaps(face.to_head(x, face.pose(x))).mean() for x in (x_s, x_d)]
    assert gaps[0] < 0.02
    assert gaps[1] > 0.2
    assert not torch.equal(source, driving)


def test_a_shut_mouth_hides_its_inside_and_keeps_the_rest(face, stills):
    picture = stills.frames.permute(0, 3, 1, 2).float() / 255
    shut, x = shut_mouths(face, picture, stills.points, torch.tensor([0.9]))
    assert (shut < 0.5).sum() < 0.15 * (picture < 0.5).sum()
    assert (shut[..., :60] - picture[..., :60]).abs().max() < 1e-3
    assert x.shape == stills.points.shape


def test_without_stills_every_pair_is_two_frames(face, clips):
    none = ClipSet(torch.zeros(0, 256, 256, 3, dtype=torch.uint8), torch.zeros(0, 162, 3), [], [], [])
    sampler = PairSampler(clips, none, face, 0, replace(SHARES, still=1.0))
    assert sampler.batch(0, 2)[-1].tolist() == [1, 1]


def test_the_most_shut_mouth_of_a_person_is_remembered(trainer, face, clips):
    renderer = trainer().renderer
    openness = lip_ratio(clips.points)[4:, 0]
    frame = 4 + int(openness.argmin())
    picture = clips.frames[frame].permute(2, 0, 1)[None].float() / 255
    kept = mouth_features(renderer, clips, "other")
    painter, patch = next(renderer.source_patches(picture, clips.points[frame : frame + 1]))
    assert torch.allclose(kept, painter.encoder(patch), atol=1e-5)
    assert torch.equal(mouth_features(renderer, clips, None), kept)  # "other" has the larger face
    with pytest.raises(TrainingError, match="nobody is called"):
        mouth_features(renderer, clips, "stranger")


def test_override_knows_its_names():
    assert change_settings(SHORT, ["batch_size=7", "bfloat16=true"]).batch_size == 7
    with pytest.raises(TrainingError, match="unknown setting"):
        change_settings(SHORT, ["bach_size=7"])


def test_validation_names_crop_and_mouth(trainer):
    figures = trainer().validate()
    assert set(figures) == {f"{kind}_{part}" for kind in ("copy", "warp", "full") for part in ("crop", "mouth")}
