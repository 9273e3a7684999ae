"""The loader of the published generator: what it admits, what it refuses, and how it says so."""

from __future__ import annotations

import pickle
import types
from argparse import Namespace
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import torch
from joyvasa_reference import TINY, arguments, template, tiny_tensors, write

from audio2motion.joyvasa import weights
from audio2motion.joyvasa.sampler import cosine_schedule
from audio2motion.joyvasa.template import load_motion_template
from audio2motion.joyvasa.weights import load, read_generator
from liveportrait import hub
from liveportrait.errors import WeightsError, WeightsNotFoundError

FIRST = "denoising_net.transformer.layers.0."
POSITION = "audio_encoder.encoder.pos_conv_embed.conv."


def written(directory: Path, changes: dict | None = None, without: str | None = None, **args) -> Path:
    tensors = {name: value for name, value in tiny_tensors().items() if name != without} | (changes or {})
    return write(directory, Namespace(**vars(arguments(TINY)) | args), tensors)


def generator_file(directory: Path) -> Path:
    return directory / "motion_generator" / "motion_generator_hubert_chinese.pt"


def template_file(directory: Path) -> Path:
    return directory / "motion_template" / "motion_template.pkl"


def test_sizes_come_from_the_file(tmp_path):
    config = load(written(tmp_path)).config
    assert (config.motion_size, config.num_frames, config.num_previous, config.feature_size) == (73, 20, 4, 32)
    assert (config.num_layers, config.feed_forward_size, config.num_steps) == (2, 16, 50)
    assert (config.hubert.hidden_size, config.hubert.num_layers, config.hubert.position_groups) == (64, 1, 16)


def test_what_was_published_has_one_position_encoding_for_all_frames(tmp_path, monkeypatch):
    file = generator_file(written(tmp_path))
    assert not load(tmp_path).config.constant_position  # of v2's format, from whoever
    published = hub.HubFile(file.name, hub.sha256(file), file.stat().st_size)
    monkeypatch.setitem(weights.RELEASES, "v2", (published,))
    assert load(tmp_path).config.constant_position
    monkeypatch.setattr(weights, "_V1_FORMAT", (73, 4))
    monkeypatch.setitem(weights.RELEASES, "v2", (replace(published, size=1),))
    assert load(tmp_path).config.constant_position  # of v1's format


def test_loaded_tensors_are_the_file_s(tmp_path):
    loaded = load(written(tmp_path)).state_dict()
    tensors = tiny_tensors()
    assert set(tensors) - set(loaded) == {"audio_encoder.masked_spec_embed"}
    assert all(torch.equal(value, tensors[name]) for name, value in loaded.items())


def test_both_files_may_lie_side_by_side(tmp_path):
    written(tmp_path)
    for path in (generator_file(tmp_path), template_file(tmp_path)):
        path.rename(tmp_path / path.name)
    assert load(tmp_path).config.num_frames == 20


def test_names_of_older_tools_are_understood(tmp_path):
    tensors = tiny_tensors()
    old = {
        f"{POSITION}weight_g": tensors.pop(f"{POSITION}parametrizations.weight.original0"),
        f"{POSITION}weight_v": tensors.pop(f"{POSITION}parametrizations.weight.original1"),
    }
    new, model = tiny_tensors(), load(write(tmp_path, arguments(TINY), tensors | old))
    found = model.state_dict()[f"{POSITION}parametrizations.weight.original1"]
    assert torch.equal(found, new[f"{POSITION}parametrizations.weight.original1"])


def test_a_path_among_the_arguments_is_read_on_every_system(tmp_path):
    args, _ = read_generator(generator_file(written(tmp_path)))
    assert args.exp_dir == PurePosixPath("/experiments/one")


class RunsCode:
    def __reduce__(self):
        return print, ("this must not run",)


@pytest.mark.parametrize(
    ("value", "asked"),
    [
        (types.SimpleNamespace(a=1), "types.SimpleNamespace"),
        (Namespace(inner=types.SimpleNamespace()), "types.SimpleNamespace"),
        (Namespace(inner=RunsCode()), r"(builtins\.)?print"),  # PyTorch 2.6 names the module too
        (np.float64(1), "numpy"),
    ],
)
def test_nothing_but_a_namespace_is_admitted(tmp_path, capsys, value, asked):
    path = generator_file(written(tmp_path))
    torch.save({"args": value, "model": {}}, path)
    with pytest.raises(WeightsError, match=rf"{path.name}.*asks for {asked}"):
        load(tmp_path)
    assert capsys.readouterr().out == ""


def test_a_namespace_is_not_admitted_elsewhere_afterwards(tmp_path):
    path = generator_file(written(tmp_path))
    load(tmp_path)
    with pytest.raises(pickle.UnpicklingError, match=r"argparse\.Namespace"):
        torch.load(path, weights_only=True)


@pytest.mark.parametrize("name", ["generator", "template"])
def test_missing_files_are_named_with_their_source(tmp_path, name):
    path = {"generator": generator_file, "template": template_file}[name](written(tmp_path))
    path.unlink()
    with pytest.raises(WeightsNotFoundError, match=rf"{path.name} is missing.*jdh-algo/JoyVASA"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"w": torch.ones(1)}, "no JoyVASA checkpoint"),
        ({"args": {}, "model": {}}, "expected Namespace"),
        ({"args": Namespace(), "model": {"w": 3}}, "key 'w' is int"),
        ({"args": Namespace(), "model": {}}, "argument 'audio_model' is None"),
    ],
)
def test_other_layouts_are_refused(tmp_path, content, message):
    torch.save(content, generator_file(written(tmp_path)))
    with pytest.raises(WeightsError, match=message):
        load(tmp_path)


def test_a_damaged_file_is_refused(tmp_path):
    path = generator_file(written(tmp_path))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(WeightsError, match=rf"{path.name}: not readable as weights.*fetch the file again"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"n_motions": "many"}, "argument 'n_motions' is 'many'"),
        ({"n_motions": 10**6}, "argument 'n_motions' is 1000000"),
        ({"n_diff_steps": 10**12}, "argument 'n_diff_steps' is 1000000000000"),
        ({"feature_dim": 8000}, "make no network|has shape"),
        ({"motion_feat_dim": 69}, "'motion_feat_dim' is 69, expected at least 70"),
        ({"fps": 30}, "'fps' is 30, expected 25"),
        ({"audio_model": "wav2vec2"}, "'audio_model' is 'wav2vec2'; known are hubert_zh"),
        ({"n_prev_motions": 5}, r"'start_audio_feat' has shape \(1, 4, 32\), expected \(1, 5, 32\)"),
    ],
)
def test_arguments_must_fit_the_tensors(tmp_path, args, message):
    with pytest.raises(WeightsError, match=message):
        load(written(tmp_path, **args))


@pytest.mark.parametrize("name", [f"{FIRST}linear1.weight", f"{FIRST}norm2.bias", "null_audio_feat"])
def test_a_missing_key_is_named(tmp_path, name):
    with pytest.raises(WeightsError, match=rf"motion_generator_hubert_chinese.pt: key '{name}' is missing"):
        load(written(tmp_path, without=name))


def test_a_key_too_many_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"key 'indicator.weight' does not belong"):
        load(written(tmp_path, {"indicator.weight": torch.ones(3)}))


def test_tables_are_accepted_when_they_are_ours(tmp_path):
    tables = {f"diffusion_sched.{name}": value for name, value in vars(cosine_schedule(50)).items()}
    tables["denoising_net.alignment_mask"] = ~torch.eye(24, dtype=torch.bool)
    tables["denoising_net.TE.pe"] = torch.zeros(1, 501, 32)
    assert load(written(tmp_path, tables)).config.num_steps == 50


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("diffusion_sched.alpha_bars", torch.linspace(1, 0, 51)),
        ("denoising_net.alignment_mask", torch.zeros(24, 24, dtype=torch.bool)),
        ("denoising_net.PE.pe", torch.zeros(1, 600, 32)),
    ],
)
def test_another_table_means_another_training(tmp_path, name, table):
    with pytest.raises(WeightsError, match=f"key '{name}' is not the table"):
        load(written(tmp_path, {name: table}))


def test_a_release_is_checked_by_its_hash(tmp_path):
    with pytest.raises(WeightsError, match=r"SHA-256 is .* expected 9dd86932"):
        load(written(tmp_path), release="v2")


def with_template(directory: Path, **changes) -> Path:
    path = template_file(written(directory))
    values = {name: value for name, value in (template() | changes).items() if value is not None}
    path.write_bytes(pickle.dumps(values))
    return path


def test_template_statistics(tmp_path):
    read = load_motion_template(with_template(tmp_path, mean_R=np.eye(3), min_yaw=np.float64(-7)))
    assert torch.equal(read.std_exp, torch.from_numpy(template()["std_exp"]))
    assert read.min_yaw.tolist() == [-7.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_t": None}, "key 'max_t' is missing"),
        ({"max_t": np.ones(2)}, "key 'max_t' has 2 values, expected 3"),
        ({"std_exp": np.full(63, np.nan)}, "key 'std_exp'.*finite"),
        ({"min_roll": "low"}, "key 'min_roll': expected an array, found str"),
        ({"extra": RunsCode()}, "asks for builtins.print"),
    ],
)
def test_bad_templates_are_refused(tmp_path, changes, message):
    with pytest.raises(WeightsError, match=rf"motion_template.pkl.*{message}"):
        load_motion_template(with_template(tmp_path, **changes))


def test_a_template_of_another_kind_is_refused(tmp_path):
    path = template_file(written(tmp_path))
    path.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(WeightsError, match="expected a dictionary of statistics, found list"):
        load_motion_template(path)
    path.write_bytes(b"\0" * ((1 << 20) + 1))
    with pytest.raises(WeightsError, match="too many for a motion template"):
        load_motion_template(path)
