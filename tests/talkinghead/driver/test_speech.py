"""Voices by name and from directories, through the official networks at toy size."""

import numpy as np
import pytest
import soundfile
from drawn_face import drawn_face
from joyvasa_reference import TINY, arguments, tiny_tensors, write
from official_tiny import tiny_official

import talkinghead
from liveportrait.errors import WeightsNotFoundError
from liveportrait.weights import save_official
from talkinghead import CropOptions, MotionOptions, Options, PortraitError
from talkinghead.models import load_models


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """An official renderer and a published voice, both tiny, and a quarter of a second of sound."""
    root = tmp_path_factory.mktemp("voices")
    save_official(tiny_official(), root / "base")
    write(root / "joyvasa", arguments(TINY), tiny_tensors())
    soundfile.write(root / "voice.wav", np.random.default_rng(0).uniform(-0.2, 0.2, 4_000), 16_000)
    return root


@pytest.fixture(scope="module")
def models(folders):
    return load_models(folders / "base", "cpu", folders / "joyvasa")


def speak(folders, models, **motion):
    options = Options(crop=CropOptions(face_only=True, size=64), motion=MotionOptions(**motion))
    return np.stack(list(talkinghead.speak(drawn_face(256), folders / "voice.wav", options=options, model=models)))


def test_the_published_voice_moves_the_official_networks(folders, models):
    frames = speak(folders, models, seed=3)
    assert frames.shape == (7, 64, 64, 3)
    assert (frames == speak(folders, models, seed=3)).all()
    assert (frames != speak(folders, models, seed=4)).any()


def test_without_strength_its_portrait_holds_still(folders, models):
    frames = speak(folders, models, lip_strength=0, expression_strength=0, still=True)
    assert np.abs(frames.astype(int) - frames[0]).max() <= 1


def test_it_fits_no_other_renderer(folders):
    with pytest.raises(PortraitError, match=r"moves the 21 keypoints .* 'mini' has \d+: give --model base or animals"):
        load_models("mini", "cpu", folders / "joyvasa")


def test_the_embedded_voice_may_be_named_and_others_may_lack(folders):
    assert load_models(folders / "base", "cpu", "mini").voice.num_keypoints is None
    with pytest.raises(WeightsNotFoundError, match="nowhere"):
        load_models("mini", "cpu", folders / "nowhere")


def test_nothing_is_fetched_where_the_network_is_forbidden(folders, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(WeightsNotFoundError, match=r"motion_generator.*HF_HUB_OFFLINE"):
        load_models(folders / "base", "cpu", "joyvasa")
