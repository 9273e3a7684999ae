"""Thin networks: pruned they keep what weighs most, distilled they do what their teachers do."""

import pytest
import torch

from liveportrait.mini import load, save
from liveportrait.mini.flow import ResidualFlow
from liveportrait.mini.painter import PatchDecoder
from liveportrait.mini.renderer import MiniConfig, MiniRenderer
from liveportrait.training.pruning import prune_decoder, prune_flow, thinned
from liveportrait.training.thin import ThinConfig, ThinTrainer

SIZES = MiniConfig(flow_channels=8, mouth_channels=16, eye_channels=16, mouth_blocks=1, eye_blocks=1)
SHORT = ThinConfig(
    flow_channels=4,
    mouth_channels=8,
    mouth_hidden=8,
    eye_channels=8,
    eye_hidden=4,
    num_steps=12,
    batch_size=2,
    learning_rate=3e-3,
    warmup_steps=1,
)


@pytest.fixture
def teacher(face):
    torch.manual_seed(0)
    made = MiniRenderer(SIZES)
    made.face.load_state_dict(face.state_dict())
    torch.nn.init.normal_(made.flow.last.weight, std=0.05)  # moves something
    made.memory = torch.rand(1, 48, 24, 24, generator=torch.Generator().manual_seed(1))
    return made.eval()


def test_pruning_a_flow_network_to_the_same_width_changes_nothing():
    torch.manual_seed(0)
    old, new = ResidualFlow(8), ResidualFlow(8)
    torch.nn.init.normal_(old.last.weight)
    prune_flow(old, new)
    inputs = torch.rand(2, old.INPUTS, 16, 16)
    for theirs, mine in zip(old(inputs), new(inputs), strict=True):
        assert torch.equal(theirs, mine)


def test_pruning_to_the_same_width_changes_nothing():
    torch.manual_seed(0)
    old, new = PatchDecoder(8, 16, 2, 24, 6), PatchDecoder(8, 16, 2, 24, 6)
    prune_decoder(old, new)
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
    prune_decoder(old, new)
    assert torch.equal(new.first.weight, old.first.weight[:16])


def test_they_learn_from_their_teachers_and_are_resumed_exactly(teacher, clips, stills, tmp_path):
    run = ThinTrainer(SHORT, teacher, clips, stills, clips)
    before = run.validate()
    for _ in range(6):
        run.train_step()
    run.save(tmp_path)
    for _ in range(6):
        run.train_step()
    after = run.validate()
    assert all(after[name] > before[name] for name in ("warped_psnr", "mouth_psnr", "eyes_psnr"))
    again = ThinTrainer(SHORT, teacher, clips, stills, clips)
    again.resume(tmp_path)
    for _ in range(6):
        again.train_step()
    for name, value in run.average.items():
        torch.testing.assert_close(again.average[name], value)


def test_a_thin_renderer_is_written_and_read(teacher, tmp_path):
    save(thinned(teacher, SHORT.sizes(teacher.config)), tmp_path)
    read = load(tmp_path).renderer
    assert (read.config.flow_channels, read.eyes.decoder.channels, read.eyes.encoder.channels) == (4, 8, 16)
    assert read.memory is not None and read.memory.shape == teacher.memory.shape
    shapes = [feature.shape[1] for feature in read.unpack(torch.rand(1, 24 * 24**2 + 2 * 24 * 12**2), 1)]
    assert shapes == [24, 24, 24]
