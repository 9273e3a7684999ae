"""Folders of voices that are damaged or hostile: one line that names the file, before memory is taken."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from audio2motion.config import EncoderConfig
from audio2motion.flow import weights as flow
from audio2motion.flow.config import FlowConfig
from audio2motion.flow.model import MotionFlow
from audio2motion.voices import keypoints_of, load_voice
from audio2motion.weights import save
from liveportrait.errors import PortraitError, WeightsError, WeightsNotFoundError


def change(folder: Path, part: str | None = None, **settings: object) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    (config if part is None else config[part]).update(settings)
    path.write_text(json.dumps(config))


def refused(folder: Path, reason: str) -> None:
    with pytest.raises(WeightsError, match=reason) as caught:
        keypoints_of(folder)
        load_voice(folder)
    assert len(str(caught.value).replace(str(folder), "")) < 240


@pytest.mark.parametrize(
    ("part", "settings", "reason"),
    [
        (None, {"num_mouth": 0}, "num_mouth is 0"),
        (None, {"num_mouth": 4}, "has shape"),
        (None, {"num_life_clips": -1}, "num_life_clips is -1"),
        (None, {"num_life_frames": 10**12}, "num_life_frames is"),
        (None, {"head_dilations": [1] * 100}, "head_dilations is"),
        (None, {"encoder": "wav2vec2"}, "expected settings by name, found str"),
        (None, {"recogniser": {"kernel": 31}}, "recogniser of an earlier version"),
        (None, {"recogniser": {"size": 3, "num_heads": 1}}, "size 3 is not even"),
        (None, {"recogniser": {"num_layers": 10**9}}, "num_layers is 1000000000"),
        ("encoder", {"hidden_size": 10**9}, "hidden_size is"),
        ("encoder", {"hidden_size": 8000}, "has shape|make no network"),
        ("encoder", {"num_heads": 3}, "make no network"),
        ("encoder", {"conv_stride": [4000, 4000]}, "do not step 320 samples"),
        ("encoder", {"conv_stride": [320]}, "do not step 320 samples"),
        ("encoder", {"dropout": "much"}, "dropout is 'much'"),
        ("encoder", {"dropout": float("nan")}, "dropout is nan"),
        ("encoder", {"checkpoint": "someone/encoder"}, r"encoder/config\.json: not readable"),
        ("encoder", {"checkpoint": 3}, "checkpoint is 3"),
    ],
)
def test_settings_that_are_none(tiny, tmp_path: Path, part: str | None, settings: dict, reason: str):
    save(tiny, tmp_path)
    change(tmp_path, part, **settings)
    refused(tmp_path, reason)


@pytest.mark.parametrize(
    "bounds", [[0, 400, 400], [0, 390, 400], [-5, 200, 400], [0, 200, 10**15], [400, 200, 0], [0, 200, 300]]
)
def test_recordings_that_are_not_there(tiny, tmp_path: Path, bounds: list[int]):
    save(tiny, tmp_path)
    file = tmp_path / "model.safetensors"
    save_file(load_file(file) | {"life_bounds": torch.tensor(bounds)}, file)
    refused(tmp_path, "'life_bounds' does not cut")


def test_an_encoder_of_its_own_that_is_too_large(tiny, tmp_path: Path):
    save(tiny, tmp_path)
    change(tmp_path, "encoder", checkpoint="published")
    (tmp_path / "encoder").mkdir()
    numbers = {"model_type": "wav2vec2", "num_hidden_layers": 10**9}
    (tmp_path / "encoder" / "config.json").write_text(json.dumps(numbers))
    refused(tmp_path, "num_hidden_layers is above 64")


def test_folders_that_are_none(tmp_path: Path):
    (tmp_path / "loop").symlink_to("loop")
    for place in (tmp_path, tmp_path / "loop", tmp_path / ("x" * 300), "x" * 5000, "", "a\0b"):
        with pytest.raises(WeightsNotFoundError):
            load_voice(place)
    for content in (b"[]", b"\xff", b"[" * 100_000):
        (tmp_path / "config.json").write_bytes(content)
        (tmp_path / "model.safetensors").write_bytes(content)
        assert keypoints_of(tmp_path) is None
        with pytest.raises(PortraitError, match=r"config\.json"):
            load_voice(tmp_path)


EAR = EncoderConfig(conv_dim=(8, 8), hidden_size=16, num_layers=1, num_heads=2, feed_forward_size=16)
SMALL = FlowConfig(encoder=EAR, num_frames=12, num_previous=4, overlap=3, size=16, num_layers=1, num_heads=2)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"num_keypoints": "21"}, "num_keypoints is '21'"),
        ({"num_keypoints": 10**9}, "num_keypoints is"),
        ({"num_keypoints": 5}, "has shape"),
        ({"num_frames": 10**9}, "num_frames is"),
        ({"overlap": 12}, "cannot overlap by 12"),
        ({"num_heads": 5}, "make no network"),
        ({"colour": 3}, "unknown setting 'colour'"),
    ],
)
def test_settings_of_generators_that_are_none(tmp_path: Path, settings: dict, reason: str):
    flow.save(MotionFlow(SMALL), tmp_path)
    assert keypoints_of(tmp_path) == 21
    change(tmp_path, **settings)
    refused(tmp_path, reason)


def test_generators_whose_weights_are_not_finite(tmp_path: Path):
    flow.save(MotionFlow(replace(SMALL, num_keypoints=2)), tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    save_file(tensors | {"codec.mean": tensors["codec.mean"] / 0}, file)
    refused(tmp_path, "'codec.mean' holds values that are not finite")


def test_a_torchaudio_for_another_torch_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    with pytest.raises(PortraitError, match=r"torchaudio cannot be loaded with torch 2\..*of one version"):
        load_voice("mini")
