"""The command line: one line per mistake, exit code 1, nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command_line import run
from fake_models import fake_models
from gray_videos import gray_video
from PIL import Image

from talkinghead import api
from talkinghead.media.video import read_frames


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A picture, a voice, and networks that need no weights."""
    monkeypatch.setattr(api, "load_models_for", lambda *_, **__: fake_models())
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)).save(tmp_path / "a.png")
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-0.3, 0.3, 16_000), 16_000)
    (tmp_path / "notes.txt").write_text("no picture and no sound\n" * 50)
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_speak_writes_and_says_so(files, capsys):
    assert run("speak", "a.png", "a.wav", "-o", "out/a.mp4", "--face-only", "--fps", "30000/1001") == 0
    said = capsys.readouterr().out
    assert len(said.splitlines()) == 1
    assert "out/a.mp4: 30 frames, 1.00 s at 29.97 fps, 64×64" in said and "frames per second" in said
    assert len(list(read_frames("out/a.mp4"))) == 30


def test_json(files, capsys):
    assert run("speak", "a.png", "a.wav", "-o", "out/a.mp4", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["file"], made["frames"], made["seconds"], made["fps"]) == ("out/a.mp4", 25, 1.0, "25")
    assert (made["width"], made["height"]) == (640, 480) and made["frames_per_second"] > 0


def test_demo_speaks_with_what_ships(files, capsys):
    assert run("demo", "-o", "out/demo.mp4") == 0
    assert "out/demo.mp4" in capsys.readouterr().out and Path("out/demo.mp4").stat().st_size > 10_000


GOOD = ("a.png", "a.wav", "-o", "out/a.mp4")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("missing.png", *GOOD[1:]), "missing.png: no such file"),
        (("a.png", "missing.wav", *GOOD[2:]), "missing.wav: no such file"),
        (("notes.txt", *GOOD[1:]), "notes.txt: neither a picture nor a video that can be read; give a PNG"),
        (("a.png", "notes.txt", *GOOD[2:]), "not a sound"),
        (("a.png", "a.png", *GOOD[2:]), "not a sound"),
        (("out", *GOOD[1:]), "folder"),
        ((*GOOD[:3], "nowhere/a.mp4"), "no such folder"),
        ((*GOOD[:3], "out"), "folder"),
        ((*GOOD[:3], "out/a.avi"), "mp4"),
        ((*GOOD[:3], "taken.mp4"), "exists already"),
        ((*GOOD, "--face", "7"), "2 faces"),
        ((*GOOD, "--face", "one"), "--face 'one': give every face once"),
        ((*GOOD, "--fps", "fast"), "frame rate"),
        ((*GOOD, "--fps", "0.1"), "fps"),
        ((*GOOD, "--size", "1"), "size"),
        ((*GOOD, "--lip-strength", "3"), "lip_strength"),
        ((*GOOD, "--head-strength", "strong"), "head_strength 'strong' is not a number"),
        ((*GOOD, "--still", "--head-strength", "0.5"), "still"),
        ((*GOOD, "--unknown"), "--unknown"),
        (GOOD[:2], "--output"),
        (("a.png",), "--output"),
        ((*GOOD, "--fps", "1e999999999"), "fps '1e999999999' is not a number"),
        ((*GOOD, "--seed", "²"), "seed '²' is not a whole number"),
        (("n" * 240 + ".png", *GOOD[1:]), "…"),
        (("n\x1b[31m\n.png", *GOOD[1:]), "n\\x1b[31m .png"),
        (("/".join(["folder"] * 200) + "/last.png", *GOOD[1:]), "last.png"),
        ((*GOOD, "--" + "x" * 1000), "see talkinghead --help"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(files, capsys, arguments, said):
    Path("taken.mp4").write_text("x")
    assert run("speak", *arguments) == 1
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1
    assert err.startswith("talkinghead: ") and said.lower() in err.lower() and len(err) <= 301
    assert not os.listdir("out")


def test_reenact_says_what_it_made(files, brightness_tracker, capsys):
    gray_video(Path("d.mp4"), [90] * 6 + [0] * 40 + [120] * 4, Fraction(30000, 1001))
    command = ("reenact", "a.png", "d.mp4", "-o", "out/a.mp4", "--region", "all-lip", "--anchor", "auto", "--face-only")
    assert run(*command, "--save-template", "out/m.safetensors") == 0
    out, err = capsys.readouterr()
    assert "50 frames, 1.67 s at 29.97 fps, 64×64" in out and len(out.splitlines()) == 1
    assert "no face in 40 of 50 frames" in err and len(err.splitlines()) == 1
    assert run("template", "d.mp4", "-o", "out/n.safetensors", "--trim", ":0.2") == 0
    assert "out/n.safetensors: 6 frames" in capsys.readouterr().out
    assert run("reenact", "a.png", "out/n.safetensors", "-o", "out/b.mp4") == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("a.png", "missing.mp4", "-o", "out/b.mp4"), "missing.mp4: no such file"),
        (("a.png", "notes.txt", "-o", "out/b.mp4"), "notes.txt: neither a picture nor a video"),
        (("a.png", "a.wav", "-o", "out/b.mp4"), "a.wav: neither a picture nor a video"),
        (("a.png", "a.png", "-o", "out/b.mp4", "--region", "nose"), "nose"),
        (("a.png", "a.png", "-o", "out/b.mp4", "--region", "lip-all"), "nothing"),
        (("a.png", "a.png", "-o", "out/b.mp4", "--trim", "5:2"), "START:END"),
        (("a.png", "a.png", "-o", "out/b.mp4", "--anchor", "first"), "anchor"),
        (("a.png", "a.png", "-o", "out/b.mp4", "--anchor", "-1"), "anchor"),
        (("a.png", "a.png", "-o", "out/b.mp4", "--smooth", "2"), "smooth"),
        (("a.png", "a.png", "-o", "out/b.mp4", "--friendly", "very"), "none of expression, pose"),
        (("a.png", "a.png", "-o", "out/b.mp4", "--box", "1,2,3"), "X,Y,WIDTH,HEIGHT"),
        (("a.png", "a.png", "-o", "out/b.mp4", "--crop-scale", "9"), "crop_scale is 9"),
        (("a.png", "a.png", "-o", "out/b.mp4", "--face", "5"), "no face 5; 2 faces found, counted from 0"),
        (("a.png", "-o", "out/b.mp4"), "a driver is missing"),
        (("a.png", "-o", "out/b.mp4", "--face", "0=missing.mp4"), "missing.mp4: no such file"),
        (
            ("a.png", "-o", "out/b.mp4", "--face", "0=a.png", "--face", "1=a.png", "--face-only"),
            "--face-only shows one face",
        ),
        (("a.png", "a.png", "-o", "out/b.avi"), "mp4"),
        (("a.png", "a.png", "-o", "out/b.mp4", "--audio", "missing.wav"), "missing.wav"),
    ],
)
def test_a_mistake_in_reenacting_is_one_line(files, capsys, arguments, said):
    assert run("reenact", *arguments) == 1
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1 and said in err and not os.listdir("out")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("a.png", "-o", "out/b.mp4"), "a voice is missing: give a sound, or --face N=VOICE"),
        (("a.png", "a.wav", "-o", "out/b.mp4", "--from", "1"), "a.png: --from is for videos"),
        (("a.png", "a.wav", "-o", "out/b.mp4", "--loop", "twice"), "none of pingpong, hold, cut, stretch"),
        (("a.png", "a.wav", "-o", "out/b.mp4", "--from", "2", "--to", "1"), "give a later --to"),
        (("a.png", "a.wav", "-o", "out/b.mp4", "--keep-background", "2"), "keep_background is 2"),
        (("d.mp4", "a.wav", "-o", "out/b.mp4"), "d.mp4, frame 1: shows 2 large faces"),
        (("d.mp4", "a.wav", "-o", "out/b.mp4", "--face", "1", "--keep-background", "1"), "d.mp4: has no sound"),
        (("d.mp4", "-o", "out/b.mp4", "--face", "1=missing.wav"), "missing.wav: no such file"),
    ],
)
def test_a_mistake_in_dubbing_is_one_line(files, brightness_tracker, capsys, arguments, said):
    gray_video(files / "d.mp4", [90] * 5)
    assert run("speak", *arguments) == 1
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1 and said in err and not os.listdir("out")


def test_several_faces_by_command(files, capsys):
    command = ("reenact", "a.png", "-o", "out/a.mp4", "--face", "0=a.png", "--face", "1=a.png")
    assert run(*command) == 0
    assert "out/a.mp4: 1 frame," in capsys.readouterr().out
    assert run(*command[:4], "a.png", "--face", "1", "--concat", "--overwrite") == 0


def test_keyframes_by_command(files, capsys):
    Path("keyframes.yaml").write_text("0.4: {smile: 1.0}")
    assert run("edit", "a.png", "-o", "out/a.mp4", "--keyframes", "keyframes.yaml", "--fps", "50") == 0
    assert "21 frames, 0.42 s at 50 fps" in capsys.readouterr().out
    Path("keyframes.yaml").write_text("0.4: {smile: 3}")
    assert run("edit", "a.png", "-o", "out/b.mp4", "--keyframes", "keyframes.yaml") == 1
    assert "keyframes.yaml, line 1: 0.4: smile is 3" in capsys.readouterr().err


def test_edit_writes_a_picture(files, capsys):
    assert run("edit", "a.png", "-o", "out/a.png", "--smile", "0.5", "--eyes-open", "0.1", "--yaw", "10") == 0
    assert capsys.readouterr().out == "out/a.png: 640×480\n"
    assert run("edit", "a.png", "-o", "out/b.png", "--yaw", "90") == 1
    assert "yaw is 90" in capsys.readouterr().err and os.listdir("out") == ["a.png"]


def test_unknown_commands_and_devices(files, capsys):
    assert run("sing") == 1
    assert "sing" in capsys.readouterr().err


def test_devices_that_are_not_there(files, monkeypatch, capsys):
    monkeypatch.undo()
    for device in ("toaster", "cuda:99"):
        command = ("speak", str(files / "a.png"), str(files / "a.wav"), "-o", str(files / "a.mp4"), "--device", device)
        assert run(*command) == 1
        assert device in capsys.readouterr().err


def test_debug_shows_where(files, capsys):
    assert run("speak", "missing.png", "a.wav", "-o", "out/a.mp4", "--debug") == 1
    err = capsys.readouterr().err
    assert "Traceback" in err and err.splitlines()[-1].startswith("talkinghead: missing.png")


def test_overwrite(files):
    Path("out/a.mp4").write_text("x")
    assert run("speak", *GOOD, "--overwrite") == 0
    assert len(list(read_frames("out/a.mp4"))) == 25


def test_bugs_are_not_hidden(files, monkeypatch):
    monkeypatch.setattr(api, "load_models_for", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("speak", *GOOD)


def test_version_and_help(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("talkinghead 0.")
    assert run() == 0 and "speak" in capsys.readouterr().out


def test_help_comes_at_once():
    script = "import sys; from talkinghead.cli import main; main(['--help']); print(*sys.modules)"
    run_once = [sys.executable, "-c", script]
    loaded = subprocess.run(run_once, capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "av", "cv2", "mediapipe", "numpy", "transformers"} & set(loaded)


SLOW = f"""
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever starts the tests in the background ignores it
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import fake_models
from talkinghead import api
from talkinghead import cli
def load(*_):
    models = fake_models.fake_models()
    render = models.portrait.render
    models.portrait.render = lambda *given: (time.sleep(0.2), print("rendering", flush=True), render(*given))[-1]
    return models
api.load_models_for = load
cli.main()
"""


def test_ctrl_c_in_the_middle_and_once_more(files):
    soundfile.write("long.wav", np.zeros(16_000 * 30), 16_000)
    command = [sys.executable, "-c", SLOW, "speak", "a.png", "long.wav", "-o", "out/a.mp4"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        for _ in range(3):
            process.stdout.readline()
        assert any(name.endswith(".part") for name in os.listdir("out"))
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        err = process.stderr.read()
    assert process.returncode == 130
    assert err.splitlines() == ["talkinghead: interrupted; nothing was written"]
    assert not os.listdir("out")


@pytest.mark.parametrize(
    ("former", "present"),
    [
        (["--crop"], ["--face-only"]),
        (["--no-crop"], ["--whole-picture-as-face"]),
        (["--no-skin"], ["--no-dense-residual"]),
        (["--skin"], []),
    ],
)
def test_former_names_of_switches_mean_the_same_and_are_hidden(files, monkeypatch, capsys, former, present):
    asked = []
    monkeypatch.setattr(api, "reenact", lambda *_, options, **__: asked.append(options) or 1 / 0)
    for switches in (former, present):
        with pytest.raises(ZeroDivisionError):
            run("reenact", "a.png", "a.png", "-o", "out/a.mp4", *switches)
    assert asked[0] == asked[1]
    monkeypatch.setenv("COLUMNS", "250")
    run("reenact", "--help")
    shown = capsys.readouterr().out.split()
    assert not set(former) & set(shown) and set(present) <= set(shown)
