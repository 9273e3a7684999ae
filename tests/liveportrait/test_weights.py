"""Loading by name and directory: dispatch, strictness, and errors that name file and key."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from official_tiny import picture, tiny_official

from liveportrait import LivePortrait, weights
from liveportrait.config import GeneratorConfig
from liveportrait.errors import WeightsError, WeightsNotFoundError
from liveportrait.modules.generator import SpadeGenerator, fold_spectral_norm
from liveportrait.modules.motion_extractor import MotionExtractor, official_name

STITCHING = "retargeting_models/stitching_retargeting_module.pth"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    weights.save_official(tiny_official(), tmp_path)
    return tmp_path


def change(path: Path, function) -> None:
    state = torch.load(path, weights_only=True)
    function(state)
    torch.save(state, path)


def test_what_was_saved_is_loaded(directory: Path):
    saved, loaded = tiny_official(), LivePortrait.from_pretrained(directory)
    for (name, mine), (_, theirs) in zip(saved.state_dict().items(), loaded.state_dict().items(), strict=True):
        assert torch.equal(mine, theirs), name
    assert not loaded.training
    assert loaded.needs_landmarks
    portrait = loaded.encode(picture())
    assert torch.equal(portrait.f_s, saved.encode(picture()).f_s)


def test_a_path_may_be_text(directory: Path):
    assert weights.load(str(directory)).num_keypoints == 21


def test_official_names_of_the_motion_extractor_are_upstreams():
    from official_reference import checkpoint_index

    from liveportrait.config import MotionConfig

    with torch.device("meta"):
        mine = [official_name(name) for name in MotionExtractor(MotionConfig()).state_dict()]
    theirs = [name for name, *_ in checkpoint_index()["motion_extractor.pth"]["keys"]]
    assert sorted(mine) == sorted(theirs)


def test_upstream_keys_of_the_motion_extractor_load(directory: Path):
    path = directory / "base_models" / "motion_extractor.pth"
    before = weights.load(directory).motion_extractor.state_dict()
    change(path, rename_like_upstream)
    for name, value in weights.load(directory).motion_extractor.state_dict().items():
        assert torch.equal(value, before[name]), name


def rename_like_upstream(state: dict) -> None:
    for name in list(state):
        value = state.pop(name)
        state[official_name(name)] = value[None, None, None] if ".grn." in name else value


def test_spectral_norm_is_folded_at_load():
    torch.manual_seed(0)
    plain = SpadeGenerator(GeneratorConfig(8, 16, 1, 4, 4))
    layer = torch.nn.utils.spectral_norm(plain.up_0.conv_0)
    layer.train()(torch.randn(1, 16, 4, 4))
    layer.eval()(torch.randn(1, 16, 4, 4))
    folded = fold_spectral_norm({f"up_0.conv_0.{name}": value for name, value in layer.state_dict().items()})
    assert set(folded) == {"up_0.conv_0.weight", "up_0.conv_0.bias"}
    torch.testing.assert_close(folded["up_0.conv_0.weight"], layer.weight)


@pytest.mark.parametrize(
    ("file", "key"),
    [
        ("base_models/appearance_feature_extractor.pth", "second.bias"),
        ("base_models/warping_module.pth", "dense_motion_network.mask.weight"),
        ("base_models/spade_generator.pth", "fc.weight"),
    ],
)
def test_a_missing_key_is_named(directory: Path, file: str, key: str):
    change(directory / file, lambda state: state.pop(key))
    with pytest.raises(WeightsError, match=f"{file}: key '{key}' is missing"):
        weights.load(directory)


def test_missing_keys_are_named_as_upstream_names_them(directory: Path):
    change(directory / "base_models/motion_extractor.pth", lambda state: state.pop("detector.stem.0.weight"))
    with pytest.raises(WeightsError, match=r"key 'detector\.downsample_layers\.0\.0\.weight' is missing"):
        weights.load(directory)
    weights.save_official(tiny_official(), directory)
    change(directory / "base_models/spade_generator.pth", lambda state: state.pop("up_0.conv_s.weight"))
    with pytest.raises(WeightsError, match=r"key 'up_0\.conv_s\.weight_orig' is missing"):
        weights.load(directory)


def test_a_missing_spectral_vector_is_named(directory: Path):
    def unfold(state):
        state["up_0.conv_0.weight_orig"] = state.pop("up_0.conv_0.weight")
        state["up_0.conv_0.weight_v"] = torch.ones(144)

    change(directory / "base_models/spade_generator.pth", unfold)
    with pytest.raises(WeightsError, match=r"key 'up_0\.conv_0\.weight_u' is missing"):
        weights.load(directory)


def test_a_wrong_shape_is_named(directory: Path):
    def widen(state):
        state["second.bias"] = torch.zeros(9)

    change(directory / "base_models/appearance_feature_extractor.pth", widen)
    with pytest.raises(WeightsError, match=r"'second\.bias' has shape \(9,\), expected \(8,\)"):
        weights.load(directory)


def test_a_key_too_many_is_named(directory: Path):
    change(directory / "base_models/warping_module.pth", lambda state: state.update(extra=torch.zeros(1)))
    with pytest.raises(WeightsError, match="'extra' does not belong"):
        weights.load(directory)


def test_something_else_under_a_key_is_named(directory: Path):
    change(directory / "base_models/warping_module.pth", lambda state: state.update({"fourth.bias": [1, 2]}))
    with pytest.raises(WeightsError, match=r"'fourth\.bias' is list"):
        weights.load(directory)


def test_the_small_networks_file(directory: Path):
    change(directory / STITCHING, lambda state: state.update(unknown={"module.mlp.0.weight": torch.zeros(1)}))
    weights.load(directory)
    change(directory / STITCHING, lambda state: state["retarget_eye"].pop("mlp.0.bias"))
    with pytest.raises(WeightsError, match=r"key 'retarget_eye\.mlp\.0\.bias' is missing"):
        weights.load(directory)
    change(directory / STITCHING, lambda state: state.pop("retarget_mouth"))
    with pytest.raises(WeightsError, match="'retarget_mouth' is missing"):
        weights.load(directory)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 broken archive" * 10])
def test_damaged_files(directory: Path, content: bytes):
    (directory / STITCHING).write_bytes(content)
    with pytest.raises(WeightsError, match=r"stitching_retargeting_module\.pth: not readable as weights"):
        weights.load(directory)


def test_a_cut_off_file(directory: Path):
    path = directory / "base_models/warping_module.pth"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(WeightsError, match=r"warping_module\.pth: not readable"):
        weights.load(directory)


class Hostile:
    def __reduce__(self):
        return (exec, ("raise SystemExit('this must not run')",))


def test_code_in_a_checkpoint_is_refused(directory: Path):
    torch.save({"first.conv.weight": Hostile()}, directory / "base_models/appearance_feature_extractor.pth")
    with pytest.raises(WeightsError, match="not readable as weights"):
        weights.load(directory)
    (directory / "base_models/appearance_feature_extractor.pth").write_bytes(pickle.dumps(Hostile(), 2))
    with pytest.raises(WeightsError, match="not readable as weights"):
        weights.load(directory)


def test_a_list_is_no_checkpoint(directory: Path):
    torch.save([torch.zeros(1)], directory / "base_models/warping_module.pth")
    with pytest.raises(WeightsError, match="expected a dictionary of tensors, found list"):
        weights.load(directory)


def test_a_missing_file_is_named(directory: Path):
    (directory / STITCHING).unlink()
    with pytest.raises(WeightsNotFoundError, match=r"stitching_retargeting_module\.pth is missing"):
        weights.load(directory)


def test_half_precision_files_are_read_as_float32(directory: Path):
    def halve(state):
        state.update({name: value.half() for name, value in state.items() if value.is_floating_point()})

    change(directory / "base_models/warping_module.pth", halve)
    assert {value.dtype for value in weights.load(directory).warping.parameters()} == {torch.float32}


def test_upstreams_folders(directory: Path, tmp_path_factory: pytest.TempPathFactory):
    config = (directory / "config.json").read_text()
    home = tmp_path_factory.mktemp("pretrained_weights")
    (home / "liveportrait").mkdir()
    (home / "liveportrait_animals").mkdir()
    (directory / "retargeting_models").rename(home / "liveportrait" / "retargeting_models")
    (directory / "base_models").rename(home / "liveportrait_animals" / "base_models_v1.1")
    settings = json.loads(config)
    del settings["model"]
    for place in (home, home / "liveportrait_animals"):
        (place / "config.json").write_text(json.dumps(settings))
        assert not weights.load(place).needs_landmarks


def test_config_sizes_are_checked(directory: Path):
    path = directory / "config.json"
    path.write_text(json.dumps({"model": "base", "networks": {"warping": {"depth_of_sea": 3}}}))
    with pytest.raises(WeightsError, match="depth_of_sea"):
        weights.load(directory)
    path.write_text(json.dumps({"model": "resnet"}))
    with pytest.raises(WeightsError, match="'resnet'"):
        weights.load(directory)
    path.write_text("{")
    with pytest.raises(WeightsError, match="not readable as JSON"):
        weights.load(directory)
    path.write_text("[]")
    with pytest.raises(WeightsError, match="expected an object"):
        weights.load(directory)


@pytest.mark.parametrize("name", ["mimi", "/nowhere/at/all"])
def test_unknown_names(name: str):
    with pytest.raises(WeightsNotFoundError, match="mini, base, animals"):
        weights.load(name)


def test_an_empty_directory(tmp_path: Path):
    with pytest.raises(WeightsNotFoundError, match="holds no model"):
        weights.load(tmp_path)


def test_the_embedded_model_is_found_by_name_and_by_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from liveportrait import mini

    asked = []
    monkeypatch.setattr(mini, "load", asked.append, raising=False)
    (tmp_path / "config.json").write_text(json.dumps({"model": "mini"}))
    weights.load("mini")
    weights.load(tmp_path)
    assert asked == [Path(weights.__file__).parent / "mini" / "weights", tmp_path]


def test_precision_is_chosen_at_load(directory: Path):
    model = weights.load(directory, "bf16")
    assert model.precision == "bf16"
    with pytest.raises(ValueError, match="fp32, bf16, fp16"):
        weights.load(directory, "int4")


def test_pins_are_those_of_the_reference():
    from official_reference import checkpoint_index

    for file in weights.RELEASES["base"]:
        entry = checkpoint_index()[Path(file.path).name]
        assert (file.path, file.sha256, file.size) == (entry["path"], entry["sha256"], entry["bytes"])
