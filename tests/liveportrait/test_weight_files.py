"""Folders of weights that are damaged or hostile: one line that names the file, before memory is taken."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from official_tiny import tiny_official
from safetensors.torch import load_file, save_file

from liveportrait import weights
from liveportrait.errors import PortraitError, WeightsError
from liveportrait.mini import save
from liveportrait.mini.renderer import MiniConfig, MiniRenderer
from liveportrait.weight_files import read_archive, read_settings, read_sizes

SMALL = MiniConfig(flow_channels=4, mouth_channels=8, eye_channels=8, mouth_blocks=1, eye_blocks=1)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a small embedded model."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("mini")
    save(MiniRenderer(SMALL), folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def folder(saved: dict[str, bytes], tmp_path: Path) -> Path:
    for name, content in saved.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def refused(folder: Path, reason: str) -> None:
    with pytest.raises(WeightsError, match=reason) as caught:
        weights.load(folder)
    said = str(caught.value)
    assert str(folder) in said and len(said.replace(str(folder), "")) < 240


def change(folder: Path, **settings: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("mouth_channels", 0),
        ("mouth_channels", -8),
        ("mouth_channels", 10**9),
        ("mouth_channels", 10**400),
        ("mouth_channels", 8.5),
        ("mouth_channels", "8"),
        ("mouth_channels", True),
        ("mouth_channels", None),
        ("mouth_channels", [8]),
        ("eye_blocks", 10**6),
        ("mouth_size", 8192),
        ("mouth_size", 90),
        ("teeth_channels", 0),
        ("depth_of_sea", 3),
        ("x" * 10_000, 3),
        ("graphs", 3),
    ],
)
def test_settings_that_are_none(folder: Path, setting: str, value: object):
    change(folder, **{setting: value})
    refused(folder, "config.json")


@pytest.mark.parametrize("value", [7, 16, 8000])
def test_sizes_that_the_weights_do_not_have_take_no_memory(folder: Path, value: int):
    change(folder, mouth_channels=value)
    refused(folder, r"model\.safetensors.*config\.json says|config\.json: its sizes make no network")


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b"\xff\xfe{}", b"3", b"[" * 100_000, b'{"model": ' + b"9" * 5000 + b"}", b" " * (1 << 21)],
)
def test_configs_that_are_none(folder: Path, content: bytes):
    (folder / "config.json").write_bytes(content)
    refused(folder, r"config\.json")
    with pytest.raises(WeightsError):
        read_settings(folder / "config.json")


@pytest.mark.parametrize("content", [b"", b"junk", struct.pack("<Q", 1 << 62), struct.pack("<Q", 5) + b"[[[[["])
def test_safetensors_that_are_none(folder: Path, content: bytes):
    (folder / "model.safetensors").write_bytes(content)
    refused(folder, r"model\.safetensors: not readable as safetensors")


def test_safetensors_that_are_cut_or_absent(folder: Path):
    path = folder / "model.safetensors"
    os.truncate(path, path.stat().st_size // 2)
    refused(folder, r"model\.safetensors: not readable")
    path.unlink()
    refused(folder, r"model\.safetensors: not readable")
    path.mkdir()
    refused(folder, r"model\.safetensors: not readable")


@pytest.mark.parametrize(
    ("name", "tensor", "reason"),
    [
        ("flow.last.bias", None, "is missing"),
        ("flow.last.bias", torch.zeros(6), r"has shape \(6,\)"),
        ("flow.last.bias", torch.zeros(5, dtype=torch.int32), "of type I32"),
        ("flow.last.bias", torch.full((5,), torch.inf), "not finite"),
        ("memory", torch.zeros(1, 24, 5, 5), "'memory' has shape"),
        ("light", torch.zeros(3, 3), "'light' has shape"),
        ("more", torch.zeros(1), "'more' does not belong"),
    ],
)
def test_weights_that_do_not_fit(folder: Path, name: str, tensor: torch.Tensor | None, reason: str):
    tensors = load_file(folder / "model.safetensors")
    tensors.pop(name, None)
    save_file(tensors if tensor is None else tensors | {name: tensor}, folder / "model.safetensors")
    refused(folder, rf"model\.safetensors: key .*{reason}")


def test_graphs_are_those_that_were_written_or_not_read_at_all(folder: Path):
    flow, eyes = (folder / "flow.xml").read_bytes(), (folder / "paint_eyes.xml").read_bytes()
    for content in (b"junk", b"", flow[: len(flow) // 2], eyes):
        (folder / "flow.xml").write_bytes(content)
        refused(folder, r"flow\.xml: is not the graph")
    (folder / "flow.xml").write_bytes(flow)
    (folder / "flow.bin").unlink()
    refused(folder, r"flow\.bin: cannot be read")
    change(folder, graphs={})
    assert not weights.load(folder).renderer.graphs  # type: ignore[union-attr]


def test_folders_that_are_none(tmp_path: Path):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for place in (tmp_path / "file", tmp_path / "loop", tmp_path / ("x" * 300), "x" * 5000, "", "a\0b"):
        with pytest.raises(PortraitError):
            weights.load(place)
    (tmp_path / "config.json").mkdir()
    with pytest.raises(PortraitError, match="holds no model"):
        weights.load(tmp_path)


@pytest.mark.parametrize(
    ("networks", "reason"),
    [
        ([], "expected settings by name"),
        ({"sea": {}}, "unknown setting 'sea'"),
        ({"motion": 3}, "expected settings by name"),
        ({"motion": {"depths": [10**9]}}, "depths is 1000000000"),
        ({"motion": {"depths": []}}, "depths is"),
        ({"generator": {"num_up": 40}}, "num_up is 40"),
        ({"motion": {"depths": "3"}}, "depths is '3'"),
        ({"warping": {"max_width": 10**9}}, "max_width is"),
        ({"warping": {"num_keypoints": 5}}, "differ between its networks"),
        ({"input_size": 100}, "expected a multiple of"),
        ({"warping": {"mask_kernel": 4}}, "expected an odd number"),
        ({"motion": {"depths": [1, 1]}}, "make no network"),
    ],
)
def test_sizes_of_official_networks(tmp_path: Path, networks: object, reason: str):
    (tmp_path / "base_models").mkdir()
    (tmp_path / "config.json").write_text(json.dumps({"model": "base", "networks": networks}))
    refused(tmp_path, rf"config\.json: .*{reason}")


def test_official_weights_that_are_not_finite(tmp_path: Path):
    weights.save_official(tiny_official(), tmp_path)
    file = tmp_path / "base_models" / "appearance_feature_extractor.pth"
    state = torch.load(file, weights_only=True)
    torch.save(state | {"second.bias": state["second.bias"] / 0}, file)
    refused(tmp_path, "second.bias.*not finite")


def test_archives_that_unfold_to_more_than_the_file(tmp_path: Path):
    torch.save({"a": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "a.pth")
    torch.save({"a": torch.zeros(1 << 20)}, tmp_path / "plain.pth")
    with zipfile.ZipFile(tmp_path / "plain.pth") as plain, zipfile.ZipFile(tmp_path / "b.pth", "w", 8) as packed:
        for entry in plain.namelist():
            packed.writestr(entry, plain.read(entry))
    for name in ("a.pth", "b.pth"):
        with pytest.raises(WeightsError, match=rf"{name}: unfolds to"):
            read_archive(tmp_path / name)
    torch.save({1: torch.zeros(1)}, tmp_path / "c.pth")
    with pytest.raises(WeightsError, match="expected a dictionary of tensors"):
        read_archive(tmp_path / "c.pth")


def test_what_is_left_out_stays_as_it_is():
    assert read_sizes(MiniConfig, {"eye_blocks": 5}, Path("config.json")) == MiniConfig(eye_blocks=5)
