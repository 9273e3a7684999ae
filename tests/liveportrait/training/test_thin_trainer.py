"""A thin decoder: pruned it keeps what weighs most, distilled it paints what its teacher paints."""

from dataclasses import replace

import pytest
import torch
from made_up_mouths import TINY, made_up_mouths, untrained_renderer

from liveportrait.mini import load, save
from liveportrait.mini.painter import PatchDecoder
from liveportrait.mini.renderer import MiniRenderer
from liveportrait.training.pruning import prune
from liveportrait.training.thin_trainer import ThinConfig, ThinTrainer, with_thin_mouth

SHORT = ThinConfig(channels=16, hidden=8, num_steps=30, batch_size=4, learning_rate=3e-3, warmup_steps=1, average=0.5)


@pytest.fixture(scope="module")
def mouths():
    return made_up_mouths(untrained_renderer())


@pytest.fixture
def teacher():
    torch.manual_seed(0)
    made = MiniRenderer(replace(TINY, mouth_channels=32, mouth_bank=None))
    made.face.load_state_dict(untrained_renderer().face.state_dict())
    for name, value in made.mouth.decoder.named_parameters():
        if name.endswith("weight"):
            value.data.mul_(2.0)  # paints more than its mean
    made.memory = torch.rand(1, 96, 16, 16, generator=torch.Generator().manual_seed(1))
    return made.eval()


def test_pruning_to_the_same_width_changes_nothing():
    torch.manual_seed(0)
    old, new = PatchDecoder(8, 16, 2, 24, 6), PatchDecoder(8, 16, 2, 24, 6)
    prune(old, new)
    features, condition = torch.rand(2, 72, 6, 6), torch.rand(2, 8, 24, 24)
    for theirs, mine in zip(*(d(d.prepare(features), condition) for d in (old, new)), strict=True):
        assert torch.equal(theirs, mine)


def test_pruning_keeps_the_channels_that_are_used():
    torch.manual_seed(0)
    old, new = PatchDecoder(8, 32, 1, hidden=8), PatchDecoder(8, 16, 1, 32, hidden=8)
    with torch.no_grad():
        old.first.weight[16:] *= 1e-4
        for reader in (old.coarse[0].conv_0, old.up):
            reader.weight[:, 16:] *= 1e-4
        old.coarse[0].conv_1.weight[16:] *= 1e-4
    prune(old, new)
    assert torch.equal(new.first.weight, old.first.weight[:16])


def test_it_learns_to_paint_what_its_teacher_paints_and_is_resumed_exactly(teacher, mouths, tmp_path):
    run = ThinTrainer(SHORT, teacher, mouths)
    before = run.validate()["psnr"]
    for _ in range(15):
        run.train_step()
    run.save(tmp_path)
    for _ in range(15):
        run.train_step()
    assert run.validate()["psnr"] > before + 1.5
    again = ThinTrainer(SHORT, teacher, mouths)
    again.resume(tmp_path)
    for _ in range(15):
        again.train_step()
    for name, value in run.average.items():
        torch.testing.assert_close(again.average[name], value)


def test_a_thin_renderer_is_written_and_read(teacher, tmp_path):
    thin = with_thin_mouth(teacher, 16, 8)
    save(thin, tmp_path)
    read = load(tmp_path).renderer
    assert read.config.mouth_decoder == 16 and read.mouth.decoder.channels == 16
    assert read.memory is not None and read.memory.shape == teacher.memory.shape
    shapes = [feature.shape[1] for feature in read.unpack(torch.rand(1, 48 * 16**2 + 2 * 24 * 12**2), 1)]
    assert shapes == [48, 24, 24]
