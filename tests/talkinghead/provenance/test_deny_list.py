"""Portraits on a list are recognized when they were resized or coded again; others are not."""

import io

import cv2
import numpy as np
import pytest
from command_line import run
from PIL import Image

from talkinghead.errors import InputNotFoundError, OptionError
from talkinghead.face import FaceDetector
from talkinghead.provenance.deny_list import DeniedError, DenyList, hash_portrait, perceptual_hash


class NoFaces:
    def detect(self, picture):
        return []


def noise(seed):
    small = np.random.default_rng(seed).integers(0, 255, (9, 9, 3), np.uint8)
    return cv2.resize(small, (160, 120), interpolation=cv2.INTER_CUBIC)


def test_a_hash_survives_resizing_and_coding():
    value = perceptual_hash(noise(0))
    file = io.BytesIO()
    Image.fromarray(noise(0)).resize((80, 60)).save(file, "JPEG", quality=40)
    again = perceptual_hash(np.array(Image.open(file)))
    assert (value ^ again).bit_count() <= 4
    assert all((value ^ perceptual_hash(noise(seed))).bit_count() > 12 for seed in range(1, 20))


def test_a_list_denies_pictures_on_it(tmp_path):
    entry = next(hash_portrait(noise(0), NoFaces()))
    file = tmp_path / "denied.txt"
    file.write_text(f"# people who said no\n\n{entry} asked by mail\nface 00000000000000ff\n")
    denied = DenyList.read(file)
    assert len(denied) == 2
    with pytest.raises(DeniedError, match="may not be animated"):
        denied.check(noise(0), NoFaces())
    denied.check(noise(1), NoFaces())
    DenyList().check("there is none", NoFaces())  # an empty list reads nothing


def test_wrong_lists_are_user_errors(tmp_path):
    file = tmp_path / "denied.txt"
    file.write_text("picture 0123\n")
    with pytest.raises(OptionError, match="line 1"):
        DenyList.read(file)
    with pytest.raises(InputNotFoundError):
        DenyList.read(tmp_path / "none.txt")


def test_the_command_adds_the_face_too(tmp_path, capsys):
    from talkinghead.cli.demo import demo_inputs

    file = tmp_path / "denied.txt"
    portrait = demo_inputs().portrait
    assert run("deny", str(portrait), "--to", str(file)) == 0
    assert [line.split()[0] for line in file.read_text().splitlines()] == ["picture", "face"]
    before = file.read_text()
    assert run("deny", str(portrait), str(portrait), "--to", str(file)) == 0 and file.read_text() == before
    assert capsys.readouterr().out == f"{file}: 2 hashes added\n{file}: 0 hashes added, 2 there already\n"
    with Image.open(portrait) as picture:
        width, height = picture.size
        part = picture.convert("RGB").crop((width // 8, height // 12, width, height))
        cropped = np.array(part.resize((400, 400 * height // width)))
    denied = DenyList.read(file)
    with pytest.raises(DeniedError, match="face"):
        denied.check(cropped, FaceDetector())
    file.write_text("picture 00000000000000ff asked by mail")  # an editor left out the end of the line
    assert run("deny", str(portrait), "--to", str(file)) == 0
    assert len(DenyList.read(file)) == 3
    file.write_text("something else\n")
    assert run("deny", str(portrait), "--to", str(file)) == 1
    assert file.read_text() == "something else\n"
