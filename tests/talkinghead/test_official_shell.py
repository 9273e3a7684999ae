"""The official networks behind every command: toy sizes, random weights in a directory, real faces found."""

from fractions import Fraction
from functools import cache

import numpy as np
import pytest
import soundfile
from drawn_face import drawn_face
from official_tiny import tiny_official
from PIL import Image

from liveportrait.weights import save_official
from talkinghead import api, cli
from talkinghead.media.video import VideoWriter, read_frames
from talkinghead.models import load_models_for


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two checkpoints, a portrait, something without a face, a driver and a voice."""
    folder = tmp_path_factory.mktemp("official")
    save_official(tiny_official(), folder / "people")
    save_official(tiny_official(needs_landmarks=False), folder / "beasts")
    Image.fromarray(drawn_face(240)).save(folder / "face.png")
    y, x = np.mgrid[:200, :300]
    Image.fromarray(np.stack([x * 0.8, y, 0 * x], -1).astype(np.uint8)).save(folder / "cat.png")
    with VideoWriter(folder / "driver.mp4", Fraction(30000, 1001), (200, 200)) as writer:
        for mouth in (0.0, 0.4, 0.8):
            writer.write(drawn_face(200, mouth))
    soundfile.write(folder / "voice.wav", 0.3 * np.sin(np.arange(1280) * 0.2), 16_000)
    return folder


@pytest.fixture(scope="module")
def load_once():
    return cache(load_models_for)


@pytest.fixture
def run(folder, load_once, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(api, "load_models_for", load_once)

    def run(*arguments):
        cli.main([*arguments, "--overwrite"])

    return run


def frames(file="o.mp4"):
    return [frame.picture for frame in read_frames(file)]


def test_base_reenacts_edits_and_speaks(run, capsys):
    run("reenact", "face.png", "driver.mp4", "-o", "o.mp4", "--model", "people", "--retarget-lips")
    assert "3 frames" in capsys.readouterr().out and [frame.shape for frame in frames()] == [(240, 240, 3)] * 3
    run("edit", "face.png", "-o", "o.png", "--model", "people", "--smile", "0.5", "--grin", "0.6", "--eyes-open", "0.1")
    assert Image.open("o.png").size == (240, 240)
    run("speak", "face.png", "voice.wav", "-o", "o.mp4", "--model", "people", "--face-only")
    assert [frame.shape for frame in frames()] == [(512, 512, 3)] * 2


def test_base_animates_a_video(run):
    for driver, crop in (("driver.mp4", "average"), ("face.png", "none")):
        options = ("--open-eyes", "--no-rotate", "--driver-crop", crop)
        run("reenact", "driver.mp4", driver, "-o", "o.mp4", "--model", "people", *options)
        assert [frame.shape for frame in frames()] == [(200, 200, 3)] * 3


@pytest.mark.parametrize("asked", [("--lips-open", "0.3"), ("--silence",), ("--yaw", "10", "--no-stitching")])
def test_a_video_is_edited(run, asked):
    run("edit", "driver.mp4", "-o", "o.mp4", "--model", "people", *asked)
    assert [frame.shape for frame in frames()] == [(200, 200, 3)] * 3


def test_a_template_of_base_drives_base_and_mini(run):
    run("template", "driver.mp4", "-o", "m.safetensors", "--model", "people")
    run("reenact", "face.png", "m.safetensors", "-o", "o.mp4", "--model", "people", "--no-stitching")
    assert len(frames()) == 3
    run("reenact", "face.png", "m.safetensors", "-o", "o.mp4", "--face-only", "--size", "64")
    assert len(frames()) == 3


def test_animals_need_no_face_but_a_place(run, capsys):
    for place in (("--whole-picture-as-face",), ("--box", "40,20,160,160")):
        run("reenact", "cat.png", "driver.mp4", "-o", "o.mp4", "--model", "beasts", *place)
        assert [frame.shape for frame in frames()] == [(200, 300, 3)] * 3
    run(
        "reenact",
        "cat.png",
        "driver.mp4",
        "-o",
        "o.mp4",
        "--model",
        "beasts",
        "--whole-picture-as-face",
        "--friendly",
        "pose",
    )
    run("edit", "cat.png", "-o", "o.png", "--model", "beasts", "--whole-picture-as-face", "--yaw", "10")
    run("speak", "cat.png", "voice.wav", "-o", "o.mp4", "--model", "beasts", "--whole-picture-as-face")
    assert len(frames()) == 2
    capsys.readouterr()
    with pytest.raises(SystemExit):
        run("reenact", "cat.png", "driver.mp4", "-o", "o.mp4", "--model", "beasts")
    assert "cat.png: no face found" in (said := capsys.readouterr().err) and "--box" in said
    with pytest.raises(SystemExit):
        run("edit", "cat.png", "-o", "o.png", "--model", "beasts", "--whole-picture-as-face", "--eyes-open", "0.1")
    assert "without landmarks" in capsys.readouterr().err


def test_base_animates_a_drawing_in_a_box(run):
    run("reenact", "cat.png", "driver.mp4", "-o", "o.mp4", "--model", "people", "--box", "40,20,160,160")
    shown = frames()
    source = np.array(Image.open("cat.png"))
    assert len(shown) == 3 and np.abs(shown[0][:10].astype(int) - source[:10]).mean() < 5  # outside the box as it was


def test_a_video_gets_a_new_voice(run, folder):
    run("speak", "driver.mp4", "voice.wav", "-o", "dubbed.mp4", "--model", "people", "--loop", "hold")
    frames = [frame.picture for frame in read_frames(folder / "dubbed.mp4")]
    before = [frame.picture for frame in read_frames(folder / "driver.mp4")]
    assert len(frames) == 3 and frames[0].shape == (200, 200, 3)
    changed = np.abs(frames[0].astype(int) - before[0]).max(2)
    assert np.percentile(changed[:40], 99.9) < 12 and changed[:40].max() < 30  # by coding, from which few pixels suffer
    assert changed[100:170, 60:140].mean() > changed[:40].mean() + 3
