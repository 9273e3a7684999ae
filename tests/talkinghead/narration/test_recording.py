"""A recorded voice: which part of it is which sentence."""

from fractions import Fraction
from http.client import IncompleteRead
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import soundfile
import torch
from openings import record_openings

from liveportrait.errors import WeightsError, WeightsNotFoundError
from talkinghead import RenderOptions
from talkinghead.errors import InputNotFoundError
from talkinghead.media.audio import probe_sound
from talkinghead.media.video import read_frames
from talkinghead.narration import align
from talkinghead.narration.errors import ScriptError
from talkinghead.narration.narrate import narrate
from talkinghead.narration.options import NarrationOptions, VoiceOptions
from talkinghead.narration.recording import share_out, voiced
from talkinghead.narration.script import Line

TEXT = "Twelve letters.\n\nTwelve letters. And twice as many letters."
SPOKEN = [(0.5, 1.5), (2.0, 3.0), (3.6, 5.6)]


@pytest.fixture
def recording(tmp_path):
    """Stereo at 44.1 kHz: one second, one second, two seconds of voice, silence between."""
    samples = np.random.default_rng(0).normal(0, 1e-4, (44_100 * 6, 2))
    for start, end in SPOKEN:
        times = np.arange(int(start * 44_100), int(end * 44_100))
        samples[times] += 0.3 * np.sin(times / 20)[:, None]
    soundfile.write(tmp_path / "voice.flac", samples, 44_100)
    return tmp_path / "voice.flac"


@pytest.fixture
def make(tmp_path, models, source, recording):
    def make(text=TEXT, script="script.txt", **voice):
        (tmp_path / script).write_text(text)
        voice.setdefault("audio", str(recording))
        options = NarrationOptions(voice=VoiceOptions(**voice), render=RenderOptions(overwrite=True))
        return narrate(source, tmp_path / script, tmp_path / "out.mp4", options=options, model=models)

    return make


def test_silence_is_told_from_speech():
    level = np.full(100, -80.0)
    level[20:40] = level[45:60] = -20.0
    spoken = voiced(level)
    assert spoken[20:60].all() and not spoken[:20].any() and not spoken[60:].any()


def test_borders_lie_in_silences():
    spoken = np.zeros(600, bool)
    for start, end in SPOKEN:
        spoken[int(start * 100) : int(end * 100)] = True
    assert share_out(["x" * 12, "x" * 12, "x" * 22], spoken) == SPOKEN


def test_a_recording_keeps_its_sound_and_gets_captions(tmp_path, make):
    summary = make(align="proportional")
    assert len(list(read_frames(summary.file))) == summary.frames == 150
    sound = probe_sound(summary.file)
    assert (sound.rate, sound.channels) == (44_100, 2) and abs(sound.seconds - 6) < Fraction(1, 20)
    captions = (tmp_path / "out.srt").read_text()
    assert "00:00:00,500 --> 00:00:01,500" in captions and "00:00:03,600 --> 00:00:05,600" in captions


def test_a_recording_is_opened_once(make, monkeypatch):
    names = record_openings(monkeypatch)
    make(align="proportional")
    assert names.count("voice.flac") == 1


def test_subtitles_say_when_a_recording_says_what(tmp_path, make):
    cues = "1\n00:00:00,500 --> 00:00:01,500\nOne.\n\n2\n00:00:02,000 --> 00:00:05,600\nTwo.\n"
    make(cues, script="cues.srt")
    assert (tmp_path / "out.srt").read_text() == cues + "\n"


def test_recordings_that_do_not_fit(make):
    with pytest.raises(ScriptError, match="too short for 400 sentences"):
        make("Yes. " * 400, align="proportional")
    with pytest.raises(ScriptError, match="has times after the end"):
        make("1\n00:00:09,000 --> 00:00:10,000\nLate.\n", script="cues.srt")
    with pytest.raises(InputNotFoundError, match=r"none\.wav"):
        make(audio="none.wav")


LETTERS = ("-", "|", "E", "T", "A", "O", "N", "H", "S")


def spell(spelled):
    """What a network that hears perfectly would say, one column for each of these letters."""
    columns = torch.full((len(spelled), len(LETTERS)), -20.0)
    for n, letter in enumerate(spelled):
        columns[n, LETTERS.index(letter)] = 0.0
    return columns.log_softmax(-1)


def test_words_are_found_where_they_are_spoken():
    spelled = "----TTH-E----||-NOO-TE--|--" + "-" * 23 + "S--HEE---"
    spans = align.align([Line("The note!"), Line("Shé…")], spell(spelled), LETTERS)
    assert spans == [(4 * 0.02, 22 * 0.02), (50 * 0.02, 56 * 0.02)]


def test_what_cannot_be_aligned():
    assert align.align([Line("12"), Line("The.")], spell("-" * 50), LETTERS) is None
    assert align.align([Line("Note " * 30)], spell("-" * 50), LETTERS) is None


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        (
            URLError("Connection refused"),
            WeightsNotFoundError,
            r"cannot be fetched \(Connection refused\); put it there",
        ),
        (IncompleteRead(b""), WeightsNotFoundError, "or say --align proportional"),
        (
            RuntimeError("Invalid magic number"),
            WeightsError,
            r"\.pth: cannot be read \(Invalid magic number\); delete it",
        ),
    ],
)
def test_weights_that_are_missing_or_damaged_are_an_error_of_the_users(make, monkeypatch, fault, error, said):
    def get_model():
        raise fault

    monkeypatch.setattr(align.torchaudio.pipelines, align._BUNDLE, SimpleNamespace(get_model=get_model))
    with pytest.raises(error, match=said):
        make(align="words")


def test_a_long_recording_is_recognised_in_windows_that_join():
    samples = torch.arange(16_000 * 45, dtype=torch.float32)
    columns = align.letter_probabilities(iter(samples.split(7777)), lambda part: part[::320, None])
    assert torch.equal(columns[:, 0], samples[::320])
