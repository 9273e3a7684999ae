"""A sound file is opened and decoded once, for its length, the networks and the soundtrack."""

from fractions import Fraction

import numpy as np
import pytest
import soundfile
from fake_models import fake_models
from openings import record_openings
from PIL import Image

import talkinghead
from talkinghead import DriveOptions, Options
from talkinghead.media import kept_frames
from talkinghead.media.audio import probe_sound, stream_mono, stream_part

PICTURE = np.full((240, 320, 3), 90, np.uint8)


@pytest.fixture
def voice(tmp_path):
    file = tmp_path / "voice.flac"
    soundfile.write(file, np.random.default_rng(0).uniform(-0.3, 0.3, (44_100, 2)), 44_100)
    return file


def test_speak_opens_the_voice_once(tmp_path, voice, monkeypatch):
    names = record_openings(monkeypatch)
    made = talkinghead.speak(PICTURE, voice, tmp_path / "out.mp4", model=fake_models())
    assert names == ["voice.flac"]
    assert probe_sound(made.file).seconds == pytest.approx(1, abs=0.03)


def test_a_video_that_is_iterated_again_does_not_open_the_voice_again(voice, monkeypatch):
    names = record_openings(monkeypatch)
    video = talkinghead.speak(PICTURE, voice, model=fake_models())
    assert len(list(video)) == len(list(video)) == 25
    assert names == ["voice.flac"]


def test_reenact_opens_another_sound_once(tmp_path, voice, monkeypatch):
    Image.fromarray(PICTURE).save(tmp_path / "driver.png")
    names = record_openings(monkeypatch)
    options = Options(drive=DriveOptions(audio=str(voice)))
    talkinghead.reenact(PICTURE, tmp_path / "driver.png", tmp_path / "out.mp4", options=options, model=fake_models())
    assert names == ["voice.flac"]


def test_a_sound_too_long_to_keep_is_decoded_again_to_the_same_samples(voice, monkeypatch):
    kept = probe_sound(voice)
    monkeypatch.setattr(kept_frames, "MOST_BYTES", 100_000)
    names = record_openings(monkeypatch)
    long = probe_sound(voice)
    assert kept.kept is not None and long.kept is None and long == kept
    for get in (lambda sound: sound, lambda sound: sound.part(Fraction(1, 3), Fraction(1, 3))):
        for one, other in (
            (stream_mono(get(kept), 16_000), stream_mono(get(long), 16_000)),
            (soundtrack(get(kept)), soundtrack(get(long))),
        ):
            assert np.array_equal(np.concatenate(list(one), -1), np.concatenate(list(other), -1))
    assert names == ["voice.flac"] * 5


def test_frames_of_few_samples_count_with_what_they_need_besides(voice, monkeypatch):
    frame = next(iter(probe_sound(voice).decoded()))
    monkeypatch.setattr(kept_frames, "MOST_BYTES", 10_000)
    keeper = kept_frames.FrameKeeper()
    tiny = kept_frames.KeptFrame(frame.to_ndarray()[:, :2], frame.format.name, frame.layout.name, 44_100).restored()
    for _ in range(10):
        keeper.add(tiny)
    assert len(keeper.frames) == 10
    for _ in range(20):
        keeper.add(tiny)
    assert keeper.frames is None


def soundtrack(sound):
    """Yield the samples that an encoder is given."""
    return (frame.to_ndarray() for frame in stream_part(sound, 44_100, "stereo", 1024))
