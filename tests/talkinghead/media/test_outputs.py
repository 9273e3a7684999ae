"""No output replaces an input, nor anything else that is no plain file of the user's to replace."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fake_models import fake_models
from PIL import Image
from safetensors.torch import save_file

import talkinghead
from liveportrait import writing
from talkinghead import MotionOptions, Options, RenderOptions, api
from talkinghead.errors import OutputError, OutputExistsError
from talkinghead.media.files import check_output, require_file
from talkinghead.narration.narrate import narrate
from talkinghead.narration.options import CaptionOptions, NarrationOptions, SceneOptions, VoiceOptions
from talkinghead.options import DriveOptions, EditOptions, LiveOptions
from talkinghead.realtime.session import run_live

OVERWRITE = RenderOptions(overwrite=True)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with inputs, in which the test runs; x.mp4 is the one that must not be replaced."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)).save("a.png")
    soundfile.write("a.wav", np.random.default_rng(0).uniform(-0.3, 0.3, 8_000), 16_000)
    with talkinghead.media.video.VideoWriter(Path("a.mp4"), talkinghead.driver.driver.FRAME_RATE, (48, 64)) as writer:
        for level in (60, 100, 140):
            writer.write(np.full((48, 64, 3), level, np.uint8))
    Path("x.mp4").write_bytes(Path("a.mp4").read_bytes())
    os.link("x.mp4", "hard.mp4")
    Path("soft.mp4").symlink_to("x.mp4")
    Path("s.md").write_text("Hello there.")
    Path("x.yaml").write_text("speakers: {a: {background: x.mp4}}\nscript: [Hello.]")
    Path("x.srt").write_text("1\n00:00:00,000 --> 00:00:02,000\nHello there.\n")
    return tmp_path


def _narrate(script="s.md", output="x.mp4", source="a.png", **parts):
    narrate(source, script, output, options=NarrationOptions(render=OVERWRITE, **parts), model=fake_models())


def _options(**parts):
    return {"options": Options(render=OVERWRITE, **parts), "model": fake_models()}


COMMANDS = {
    "speak AUDIO": lambda x: talkinghead.speak("a.png", x, "x.mp4", **_options()),
    "speak --reference": lambda x: talkinghead.speak(
        "a.png", "a.wav", "x.mp4", **_options(motion=MotionOptions(reference=x))
    ),
    "reenact SOURCE": lambda x: talkinghead.reenact(x, "a.mp4", "x.mp4", **_options()),
    "reenact DRIVER": lambda x: talkinghead.reenact("a.png", x, "x.mp4", **_options()),
    "reenact --face": lambda x: talkinghead.reenact("a.png", {0: "a.mp4", 1: x}, "x.mp4", **_options()),
    "reenact --audio": lambda x: talkinghead.reenact(
        "a.png", "a.mp4", "x.mp4", **_options(drive=DriveOptions(audio=x))
    ),
    "edit --keyframes": lambda x: api.edit("a.png", "x.mp4", **_options(edit=EditOptions(keyframes=x))),
    "live --camera": lambda x: run_live(
        "a.png", "x.mp4", Options(render=OVERWRITE, live=LiveOptions(camera=x)), fake_models()
    ),
    "narrate SOURCE": lambda x: _narrate(source=x),
    "narrate --audio": lambda x: _narrate(voice=VoiceOptions(audio=x)),
    "narrate --background": lambda x: _narrate(scene=SceneOptions(background=x)),
    "narrate --reference": lambda x: _narrate(motion=MotionOptions(reference=x)),
    "narrate --caption-font": lambda x: _narrate(captions=CaptionOptions(caption_font=x)),
}


@pytest.mark.parametrize("given", ["x.mp4", "hard.mp4", "soft.mp4", "./y/../x.mp4"])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_replaces_its_inputs(files, command, given):
    (files / "y").mkdir()
    before = (files / "x.mp4").read_bytes()
    with pytest.raises(OutputError, match=r"x\.mp4: this is one of the inputs"):
        COMMANDS[command](given)
    assert (files / "x.mp4").read_bytes() == before and not list(files.glob("*.work"))


def test_nor_what_a_script_names(files):
    before = {path: path.read_bytes() for path in files.iterdir()}
    for script in ("x.yaml", "x.srt"):  # a background, and the captions' own place
        with pytest.raises(OutputError, match="this is one of the inputs"):
            _narrate(script)
    assert {path: path.read_bytes() for path in files.iterdir()} == before


def test_nor_weights(files):
    (files / "model" / "part").mkdir(parents=True)
    save_file({}, files / "model" / "part" / "m.safetensors")
    os.link(files / "model" / "part" / "m.safetensors", files / "hard.safetensors")
    for output in ("model/part/m.safetensors", "hard.safetensors"):
        with pytest.raises(OutputError, match="this is one of the inputs"):
            api.template("a.mp4", output, options=Options(render=OVERWRITE), model="model")


def test_overwrite_replaces_plain_files_alone(files):
    os.mkfifo("pipe.mp4")
    (files / "null.mp4").symlink_to("/dev/null")
    (files / "kept.mp4").write_text("mine")
    (files / "kept.mp4").chmod(0o444)
    for name in ("pipe.mp4", "null.mp4", "kept.mp4"):
        with pytest.raises(OutputExistsError, match="read-only or no plain file"):
            talkinghead.speak("a.png", "a.wav", name, **_options())
    assert (files / "kept.mp4").read_text() == "mine" and (files / "pipe.mp4").is_fifo()
    with pytest.raises(OutputError, match="folder"):
        talkinghead.speak("a.png", "a.wav", "..", **_options())


def test_a_link_is_replaced_and_what_it_leads_to_is_not(files):
    (files / "target.mp4").write_text("mine")
    (files / "to.mp4").symlink_to("target.mp4")
    (files / "nowhere.mp4").symlink_to("none.mp4")
    for name in ("to.mp4", "nowhere.mp4"):
        with pytest.raises(OutputExistsError, match="exists already"):
            check_output(name, overwrite=False)
        talkinghead.speak("a.png", "a.wav", name, **_options())
        assert not (files / name).is_symlink()
    assert (files / "target.mp4").read_text() == "mine" and not (files / "none.mp4").exists()


WRITERS = {
    "video": lambda **progress: talkinghead.speak("a.png", "a.wav", "o.mp4", model=fake_models(), **progress),
    "picture": lambda **_: talkinghead.reenact("a.png", "a.png", "o.png", model=fake_models()),
    "template": lambda **_: api.template("a.png", "o.safetensors", model=fake_models()),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_of_two_runs_that_write_one_file_the_second_is_refused(files, monkeypatch, writer):
    synced = os.fsync

    def first_comes_first(descriptor):
        for name in ("o.mp4", "o.png", "o.safetensors"):
            Path(name).write_text("first")
        synced(descriptor)

    monkeypatch.setattr(writing.os, "fsync", first_comes_first)
    with pytest.raises(OutputExistsError, match="came while it was made"):
        WRITERS[writer]()
    assert {path.read_text() for path in files.glob("o.*")} == {"first"} and not list(files.glob(".*"))


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_one_line(files, monkeypatch, writer):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing.os, "fsync", full)
    with pytest.raises(OutputError, match="the disk is full"):
        WRITERS[writer]()
    assert not list(files.glob("o.*")) and not list(files.glob(".*"))


@pytest.mark.skipif(not os.path.exists("/proc/self/ns/pid"), reason="has no numbers of processes to look up")
def test_what_a_killed_run_left_is_removed(files, monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: 2**31 - 1)  # beyond the numbers that systems give
    for name in ("o.mp4", "p.mp4"):
        writing.create_beside(files / name)
    check_output("o.mp4", overwrite=False)
    assert [path.name[:3] for path in files.glob(".*.part")] == [".p."]


@pytest.mark.parametrize("name", ["b" * 252 + ".mp4", "/".join(["d"] * 3000) + ".mp4", "a\0b.mp4", "ü" * 127 + ".mp4"])
def test_names_that_no_file_can_have(files, name):
    for check in (
        lambda: check_output(name, overwrite=False),
        lambda: check_output(name, [Path(name)], overwrite=True),
        lambda: require_file(name, OutputError),
    ):
        with pytest.raises(OutputError, match=r"too long|zero byte") as caught:
            check()
        assert len(str(caught.value)) < 300


def test_names_at_the_limit_and_of_odd_bytes(files):
    for name in ("b" * 251 + ".mp4", os.fsdecode(b"odd \xff\n\x1b.mp4")):
        talkinghead.speak("a.png", "a.wav", name, model=fake_models())
        assert (files / name).stat().st_size
