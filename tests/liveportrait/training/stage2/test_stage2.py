"""Stage II at tiny size: each part learns and resumes exactly, and what it learns fits the official file."""

from dataclasses import replace

import pytest
import torch
from known_face import face
from official_reference import checkpoint_index
from official_tiny import tiny_official

from liveportrait import weights
from liveportrait.config import OfficialConfig
from liveportrait.official import OfficialPortrait
from liveportrait.training.faces import POINTS, FaceSet
from liveportrait.training.loop import TrainingError, change_settings
from liveportrait.training.sizes import SIZES
from liveportrait.training.stage1.trainer import LOWER, UPPER
from liveportrait.training.stage2.command import read_reader
from liveportrait.training.stage2.config import PARTS, Stage2Config
from liveportrait.training.stage2.losses import opening_of
from liveportrait.training.stage2.reader import OpennessReader
from liveportrait.training.stage2.trainer import Stage2Trainer

SHORT = Stage2Config(num_steps=20, batch_size=4, warmup_steps=1)
SIDE = SIZES["tiny"].output_size


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    random = torch.Generator().manual_seed(0)
    pictures = torch.randint(256, (6, 3, SIDE, SIDE), generator=random, dtype=torch.uint8)
    marks = torch.rand(6, len(POINTS), 2, generator=random) - 0.5
    return FaceSet(
        [],
        marks,
        torch.eye(3).repeat(6, 1, 1),
        torch.tensor([0, 3, 6]),
        ["a", "b"],
        torch.zeros(2).bool(),
        SIDE,
        pictures,
    )


def trainer(part, faces, seed=0, changes=(), guided=False) -> Stage2Trainer:
    torch.manual_seed(seed)
    model = OfficialPortrait(replace(SIZES["tiny"], guided=guided), needs_landmarks=True)
    reader = OpennessReader() if part in ("eyes", "lips") else None
    return Stage2Trainer(change_settings(SHORT, [f"part={part}", *changes]), model, faces, faces, reader)


@pytest.mark.parametrize("part", ["reader", *PARTS])
def test_only_its_part_learns_and_a_resumed_run_goes_on_exactly(part, faces, tmp_path):
    whole = trainer(part, faces)
    before = {name: value.clone() for name, value in whole.model.state_dict().items()}
    whole.train_step()
    changed = {name.split(".")[0] for name, value in whole.model.state_dict().items() if not value.equal(before[name])}
    assert changed == (set() if part == "reader" else {PARTS[part]})
    whole.save(tmp_path)
    losses = whole.train_step()
    resumed = trainer(part, faces)
    resumed.resume(tmp_path)
    assert resumed.train_step() == losses
    for name, value in whole.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[name], value)
    figures = whole.validate()
    assert figures and all(value >= 0 for value in figures.values())
    for name, value in whole.network.state_dict().items():  # measuring leaves the run as it is
        assert torch.equal(resumed.network.state_dict()[name], value)


def shade(source, x_d):
    """A stand-in for W and G: the whole picture is as bright as the keypoints have moved to the right."""
    return (x_d - source.x_s)[..., 0].mean(1)[:, None, None, None].expand(-1, 3, SIDE, SIDE)


def test_stitching_keeps_the_border_stiller(faces, monkeypatch):
    run = trainer("stitching", faces, changes=["learning_rate=0.003", "stitching_size=0.01", "num_steps=40"])
    monkeypatch.setattr(run, "render", shade)
    first = run.validate()
    assert first["border"] == pytest.approx(first["plain_border"])  # begins by adding nothing
    for _ in range(40):
        run.train_step()
    last = run.validate()
    assert last["border"] < 0.7 * last["plain_border"]


def test_stitching_leaves_guided_lids_and_lips_as_far_apart(faces, monkeypatch):
    def apart(guided: bool) -> torch.Tensor:
        changes = ["learning_rate=0.003", "stitching_size=0.01", "num_steps=40", "seed=1"]
        run = trainer("stitching", faces, changes=changes, guided=guided)
        # The border gets darker as upper lids come down and brighter as lower ones do.
        weights = torch.zeros(21, 1)
        weights[list(UPPER)], weights[list(LOWER)] = -1.0, 1.0
        monkeypatch.setattr(run, "render", lambda source, x_d: shade(source, source.x_s + weights * (x_d - source.x_s)))
        for _ in range(40):
            run.train_step()
        source, x_d = run.crossed(run.sampler.batch(0, 4, "cpu"))
        return opening_of(run.network(source.x_s, x_d) - x_d, UPPER, LOWER)

    assert apart(guided=True) < 0.5 * apart(guided=False)


def test_lips_learn_to_open_as_asked(faces, monkeypatch):
    run = trainer("lips", faces, changes=["learning_rate=0.003", "lips_size=0.01", "lips_outside=0", "num_steps=40"])
    monkeypatch.setattr(run, "render", shade)
    monkeypatch.setattr(run, "read", lambda shown, near: shown.mean((1, 2, 3))[:, None])
    first = run.losses(run.sampler.batch(0, 4, "cpu"), torch.Generator().manual_seed(0))["condition"]
    for _ in range(40):
        run.train_step()
    last = run.losses(run.sampler.batch(0, 4, "cpu"), torch.Generator().manual_seed(0))["condition"]
    assert last < 0.85 * first


def test_known_steps_learn_to_move_the_guided_keypoints_without_pictures(faces, monkeypatch):
    alike = replace(faces, landmarks=face().repeat(6, 1, 1))
    changes = ["known_steps=300", "num_steps=301", "learning_rate=0.003"]
    with pytest.raises(TrainingError, match="trained with `guide`"):
        trainer("lips", alike, changes=changes)
    run = trainer("lips", alike, changes=changes, guided=True)
    rendered, render = [], run.render
    monkeypatch.setattr(run, "render", lambda *args: (rendered.append(run.step), render(*args))[1])
    known = [run.train_step()["known"] for _ in range(300)]
    assert sum(known[-20:]) < 0.5 * sum(known[:20]) and not rendered
    assert set(run.train_step()) == {"outside", "condition", "size"} and rendered == [300, 300]


def test_eyes_and_lips_need_a_reader(faces):
    with pytest.raises(TrainingError, match="need a reader"):
        Stage2Trainer(change_settings(SHORT, ["part=lips"]), tiny_official(), faces, None)
    with pytest.raises(TrainingError, match="part 'nose' is unknown"):
        Stage2Trainer(change_settings(SHORT, ["part=nose"]), tiny_official(), faces, None)


def test_a_reader_with_other_layers_is_refused(faces, tmp_path, monkeypatch):
    trainer("reader", faces).save(tmp_path)
    assert isinstance(read_reader(tmp_path), OpennessReader)
    monkeypatch.setattr("liveportrait.training.stage2.reader.NUM_MEMBERS", 2)
    with pytest.raises(TrainingError, match="other layers than today's; train a new one"):
        read_reader(tmp_path)


def test_what_every_size_learns_fits_the_official_file(tmp_path):
    """Names and shapes of S, R_eyes and R_lip are those of the official file, whatever the size of the others."""
    for config in (OfficialConfig(), *SIZES.values()):
        assert config.retargeting == OfficialConfig().retargeting
    model = OfficialPortrait(SIZES["tiny"], needs_landmarks=True)
    weights.save_official(model, tmp_path)
    stored = torch.load(tmp_path / "retargeting_models" / "stitching_retargeting_module.pth", weights_only=True)
    official = checkpoint_index()["stitching_retargeting_module.pth"]["nested"]
    for part, keys in official.items():
        assert {name: list(value.shape) for name, value in stored[part].items()} == {n: s for n, s, _ in keys}
