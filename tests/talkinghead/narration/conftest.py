"""Stand-ins: networks that need no weights, and a voice that hums as long as its text is."""

import numpy as np
import pytest
from fake_models import CountingVoice, fake_models
from PIL import Image

from talkinghead.narration import speech
from talkinghead.narration.voices import write_speech


class HummingVoice:
    """Hums 50 ms a letter, at 24 kHz, and remembers what it was asked."""

    identity = "hum"
    reads = None

    def __init__(self):
        self.said = []

    def say(self, text, file):
        self.said.append(text)
        samples = 0.3 * np.sin(np.arange(len(text) * 1200) * (0.05 + len(text) % 7 / 100))
        write_speech(file, samples, 24_000)


class StatedVoice(CountingVoice):
    """The stand-in for the audio model, with no weights to be hashed."""

    def state_dict(self):
        return {}


@pytest.fixture
def hum(monkeypatch):
    voice = HummingVoice()
    monkeypatch.setattr(speech, "open_voice", lambda *_: voice)
    return voice


@pytest.fixture
def models():
    made = fake_models()
    object.__setattr__(made, "voice", StatedVoice())
    return made


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "source.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8).repeat(4, 0).repeat(4, 1)).save(
        file
    )
    return file
