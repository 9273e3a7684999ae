"""The examples in the docstrings of the public functions run as they are written."""

import doctest
from fractions import Fraction
from importlib.resources import files

import numpy as np
import pytest
import soundfile
from PIL import Image

import talkinghead
from talkinghead import models
from talkinghead.media.video import VideoWriter
from talkinghead.narration import speech
from talkinghead.narration.voices import write_speech

FUNCTIONS = [
    "speak",
    "reenact",
    "edit",
    "template",
    "live",
    "narrate",
    "stream",
    "load_models",
    "find_faces",
    "outline",
    "Editor",
]


class Hum:
    """Hums in place of a voice that would have to be fetched."""

    identity = "hum"
    reads = None

    def say(self, text, file):
        write_speech(file, 0.3 * np.sin(np.arange(6000) * 0.06), 24_000)


@pytest.fixture(scope="module")
def mini():
    return talkinghead.load_models(device="cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files that the examples name."""
    folder = tmp_path_factory.mktemp("examples")
    picture = Image.open(str(files("talkinghead") / "assets" / "portrait.jpg")).convert("RGB").resize((256, 256))
    picture.save(folder / "portrait.png")
    with VideoWriter(folder / "driving.mp4", Fraction(25), (256, 256), None, crf=20) as writer:
        for _ in range(4):
            writer.write(np.asarray(picture))
    for name in ("voice.wav", "voice2.wav"):
        soundfile.write(folder / name, 0.1 * np.sin(np.arange(3200) * 0.05), 16_000)
    (folder / "script.md").write_text("# One\n\nHello.\n")
    return folder


@pytest.mark.parametrize("name", FUNCTIONS)
def test_example_runs(name, folder, mini, monkeypatch, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(models, "_load", lambda *_: mini)
    monkeypatch.setattr(speech, "open_voice", lambda *_: Hum())
    example = doctest.DocTestParser().get_doctest(getattr(talkinghead, name).__doc__, {}, name, None, 0)
    assert example.examples
    result = doctest.DocTestRunner().run(example)
    assert result.failed == 0
