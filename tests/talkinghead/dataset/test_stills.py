"""Pictures become stills with a manifest; what cannot be used is named."""

import csv

import numpy as np
import pytest
from drawn_face import drawn_face
from PIL import Image

from talkinghead.dataset.stills import prepare_stills
from talkinghead.errors import InputNotFoundError, OutputExistsError


def test_pictures_become_stills(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    face = drawn_face(320)
    Image.fromarray(face).save(folder / "ada.png")
    Image.fromarray(face).resize((120, 120)).save(folder / "small.png")
    Image.fromarray((face.astype(int) * 3).clip(0, 255).astype(np.uint8)).save(folder / "white.png")
    Image.new("RGB", (200, 200)).save(folder / "black.png")
    (folder / "broken.png").write_text("no picture")
    count, left = prepare_stills(folder, tmp_path / "clips" / "stills", "CC0", recognise=False)
    with (tmp_path / "clips" / "stills" / "manifest.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert count == 1 and (row["identity"], row["licence"], row["file"]) == ("ada", "CC0", "00000.jpg")
    width, height = Image.open(tmp_path / "clips" / "stills" / "00000.jpg").size
    assert 240 < width <= 320 and 240 < height <= 320  # all there is of three faces' width, and nothing beyond
    reasons = {path.stem: reason for path, reason in left.items()}
    assert reasons["black"] == "no face found" and "at least 80 are needed" in reasons["small"]
    assert "white" in reasons and "broken.png" in reasons["broken"]
    with pytest.raises(OutputExistsError, match="exists; give another folder"):
        prepare_stills(folder, tmp_path / "clips" / "stills", "CC0")


def test_a_folder_without_pictures_is_named(tmp_path):
    with pytest.raises(InputNotFoundError, match="no pictures here"):
        prepare_stills(tmp_path, tmp_path / "out", "CC0")
    assert not (tmp_path / "out").exists()
