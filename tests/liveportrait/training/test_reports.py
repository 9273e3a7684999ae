"""The progress line and durations."""

import sys

import pytest
import torch

from liveportrait.training.reports import ProgressLine, duration, tensorboard


@pytest.mark.parametrize(
    ("seconds", "text"), [(20, "0 min"), (600, "10 min"), (3700, "1 h 2 min"), (90_000, "1 d 1 h")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_the_line_is_for_terminals_only(capsys, monkeypatch):
    line = ProgressLine()
    for step in (1, 2):
        line(step, 3)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    for step in (1, 2, 3):
        line(step, 3)
    shown = capsys.readouterr().err
    assert "2/3 steps" in shown and shown.endswith("\n")


def test_figures_and_pictures_reach_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    report = tensorboard(tmp_path, lambda: torch.rand(3, 4, 4))
    report(1, {"psnr": 20.0})
    (file,) = (tmp_path / "tensorboard").iterdir()
    stored = file.read_bytes()
    assert b"psnr" in stored and b"validation" in stored
