"""The command `verify` says what it finds, in lines, as JSON and by its exit code."""

import json

import numpy as np
import pytest
import soundfile
from command_line import run
from gray_videos import gray_video
from PIL import Image

from talkinghead import ProvenanceOptions
from talkinghead.provenance.marks import Marks
from talkinghead.provenance.pictures import write_picture

PICTURE = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)


@pytest.fixture
def signed(tmp_path):
    file = tmp_path / "signed.png"
    write_picture(PICTURE, file, Marks(source=PICTURE))
    return file


def test_intact(signed, capsys):
    assert run("verify", str(signed)) == 0
    said = capsys.readouterr().out
    assert "C2PA manifest: valid" in said and "untrusted: the key of this installation" in said


def test_changed(signed, capsys):
    content = bytearray(signed.read_bytes())
    content[-30] ^= 1
    signed.write_bytes(content)
    assert run("verify", str(signed)) == 4
    assert "INVALID" in capsys.readouterr().out


def test_unsigned_and_nothing(tmp_path, capsys):
    file = tmp_path / "a.png"
    write_picture(PICTURE, file, Marks(ProvenanceOptions(c2pa=False)))
    assert run("verify", str(file)) == 5
    Image.fromarray(PICTURE).save(file)
    assert run("verify", str(file)) == 3


def test_a_file_without_pictures_or_marks_cannot_be_read(tmp_path, capsys):
    for name in ("text.txt", "text.mp4", "text.png", "text.gif"):  # some are not what their suffix says
        (tmp_path / name).write_text("a text")
        assert run("verify", str(tmp_path / name)) == 1
    whole = gray_video(tmp_path / "a.mp4", [60, 120]).read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 4])
    assert run("verify", str(tmp_path / "half.mp4")) == 1
    said = capsys.readouterr()
    assert not said.out and len(said.err.splitlines()) == 5


def test_a_sound_has_nothing_to_search(tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", np.zeros(800), 16_000)
    assert run("verify", str(tmp_path / "a.wav")) == 3
    assert "watermark: not searched (a sound has no pictures)" in capsys.readouterr().out


def test_what_is_left_of_a_signed_file_is_changed(signed, capsys):
    signed.write_bytes(signed.read_bytes()[:-3000])
    assert run("verify", str(signed)) == 4
    assert "watermark: not searched (" in capsys.readouterr().out


def test_json(signed, capsys):
    assert run("verify", str(signed), "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["verdict"] == "intact" and said["manifest"]["is_intact"] and said["manifest"]["is_trusted"] is False


def test_errors_are_one_line(tmp_path, signed, capsys):
    assert run("verify", str(tmp_path / "none.png")) == 1
    assert run("verify", str(signed), "--trust", str(signed)) == 1
    said = capsys.readouterr()
    assert not said.out and len(said.err.splitlines()) == 2
