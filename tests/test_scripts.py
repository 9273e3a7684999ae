"""The commands of scripts/ run: each is reached with small inputs."""

import json
import runpy
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from official_tiny import tiny_official
from typer.testing import CliRunner

from liveportrait.weights import save_official
from talkinghead.cli.demo import demo_inputs
from talkinghead.evaluation import commands as evaluation
from talkinghead.evaluation import speed
from talkinghead.evaluation.benchmark import base, stream
from talkinghead.evaluation.benchmark import commands as benchmark
from talkinghead.evaluation.benchmark.timing import Row
from talkinghead.media.image import read_image

SCRIPTS = Path(__file__).parents[1] / "scripts"
FRAMES = 12


def invoke(app, *arguments) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """A folder with one clip: the example portrait, still, with a tone."""
    folder = tmp_path_factory.mktemp("clips")
    picture = read_image(demo_inputs().portrait)[::2, ::2]
    picture = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
    with av.open(str(folder / "still.mp4"), "w") as container:
        video, audio = container.add_stream("libx264", 25), container.add_stream("aac", 16_000, layout="mono")
        video.height, video.width = picture.shape[:2]
        video.pix_fmt = "yuv420p"
        for _ in range(FRAMES):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture))))
        container.mux(video.encode(None))
        tone = np.sin(np.arange(FRAMES * 640) / 10).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(tone[None], "flt", "mono")
        frame.sample_rate = 16_000
        container.mux([*audio.encode(frame), *audio.encode(None)])
    return folder


def run_script(monkeypatch, name, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPTS / f"{name}.py"), run_name="__main__")
    return int(ended.value.code or 0)


@pytest.mark.parametrize("name", ["prepare", "train", "train_liveportrait", "evaluate", "benchmark", "export_onnx"])
def test_scripts_describe_themselves(name, monkeypatch, capsys):
    assert run_script(monkeypatch, name, "--help") == 0
    assert "usage" in capsys.readouterr().out.lower()


def test_a_mistake_ends_in_one_line(tmp_path, monkeypatch, capsys):
    assert run_script(monkeypatch, "train", "motion", "export", "--run", tmp_path, "--output", tmp_path / "out") == 1
    assert capsys.readouterr().err == f"talkinghead: {tmp_path}: no checkpoint here; train first\n"


def test_reenactment_is_evaluated(clips, tmp_path):
    invoke(evaluation.app, "reenact", clips, "--json", tmp_path / "figures.json")
    figures = json.loads((tmp_path / "figures.json").read_text())["median"]
    assert figures["copy psnr"] > 35  # a still face: the first frame is nearly all that is needed
    assert figures["psnr"] > 28


def test_speech_is_evaluated(clips, tmp_path):
    invoke(evaluation.app, "speak", clips, "--json", tmp_path / "figures.json")
    figures = json.loads((tmp_path / "figures.json").read_text())["median"]
    assert figures["real border"] < 1 and -1 <= figures["correlation"] <= 1


def test_closures_are_evaluated():
    pytest.importorskip("onnx")
    pytest.importorskip("hama")
    assert "recall" in invoke(evaluation.app, "closures", "--sentences", 1)


def test_speed_is_evaluated(tmp_path, monkeypatch):
    monkeypatch.setattr(speed, "REPEATS", 1)
    monkeypatch.setattr(speed, "WIDTH", 640)
    invoke(evaluation.app, "speed", "--seconds", 0.2, "--no-memory", "--json", tmp_path / "figures.json")
    figures = json.loads((tmp_path / "figures.json").read_text())["clips"]
    assert figures["0.2 s"]["frames"] == 5 and figures["stages"]["render"] > 0


def test_official_networks_are_timed(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "_rearranged", lambda settings: [])  # of the official size
    save_official(tiny_official(), tmp_path / "tiny")
    table = invoke(benchmark.app, "base", "--model", tmp_path / "tiny", "--batches", 1, "--repeats", 1)
    assert "W warping" in table and "G generator" in table and "share of peak" in table


def test_warping_and_generator_are_judged_by_paper_and_peak():
    product = benchmark_row(milliseconds=10.0, gflop=1_000.0)  # 100 TFLOP a second
    judged = base.judged(benchmark_row(milliseconds=51.2, gflop=2_560.0, batch=8), product)  # 50, in 6.4 ms a frame
    assert judged.setting == "0.50 x; 50%"


def benchmark_row(milliseconds, gflop, batch=1) -> Row:
    return Row("", batch, "", milliseconds, 0.0, gflop, 0.0, 0.0)


def test_embedded_networks_are_timed(tmp_path):
    output = tmp_path / "rows.json"
    invoke(benchmark.app, "mini", "--batches", 1, "--repeats", 1, "--json", output)
    assert {row["batch"] for row in json.loads(output.read_text())["rows"]} == {1}


def test_live_pictures_are_timed(monkeypatch):
    monkeypatch.setattr(stream, "SECONDS", 1)
    assert "real-time factor" in invoke(benchmark.app, "stream", "--repeats", 1)
