"""The recogniser: its alignment, its initial weights from a published recogniser, and its place in the model."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from audio2motion.config import AudioToMotionConfig, EncoderConfig, RecogniserConfig
from audio2motion.network import SpeechToMouth
from audio2motion.recogniser import Recogniser
from audio2motion.weights import parse_config

SMALL = RecogniserConfig(num_mels=16, size=16, num_layers=1, num_heads=2, feed_forward_size=32, kernel=5)


def speech(seconds: float) -> torch.Tensor:
    """Noise whose loudness and colour change like syllables."""
    random = torch.Generator().manual_seed(0)
    count = int(16000 * seconds)
    noise = torch.randn(count, generator=random)
    colored = 0.5 * noise + 0.5 * torch.nn.functional.pad(noise, (1, 0))[:-1]
    return 0.1 * colored * torch.sin(torch.arange(count) / 16000 * 12).abs()


def test_one_state_for_every_320_samples():
    network = Recogniser(SMALL).eval()
    with torch.inference_mode():
        assert network(network.spectrum(torch.zeros(2, 6400))).shape == (2, 20, 16)


def test_a_click_appears_in_the_state_that_it_lies_in():
    network = Recogniser(SMALL).eval()
    click = torch.zeros(1, 320 * 21)
    click[0, 320 * 10 + 160] = 1.0
    power = network.power(click)[0].sum(-1)
    assert int(power.argmax()) == 20  # two steps a state, the first of them amid its samples
    assert torch.allclose(power[19], power[21])


def test_hamas_weights_give_hamas_phonemes(monkeypatch: pytest.MonkeyPatch):
    hama = pytest.importorskip("hama")
    from importlib.resources import files

    from talkinghead.training.recogniser_weights import load_recogniser, read_pack

    network = Recogniser(RecogniserConfig()).eval()
    load_recogniser(network)
    sound = speech(2.0)
    feeds = {"waveform": sound[None].numpy(), "waveform_lengths": np.array([len(sound)])}
    (expected,) = hama.ASRModel().session.run(["log_probs"], feeds)
    pack = read_pack((files("hama") / "assets" / "asr_waveform.hama").read_bytes())
    # hama centres its states on samples 320 k and mirrors the sound at its ends.
    shifted = torch.nn.functional.pad(sound[None, None], (160, 160), mode="reflect")[0]
    with torch.inference_mode():
        spelled = network(network.spectrum(shifted))[0] @ pack["acoustic_model.model.proj.weight"][..., 0].T
    found = (spelled + pack["acoustic_model.model.proj.bias"]).softmax(-1).numpy()
    difference = np.abs(found - np.exp(expected[0][: len(found)])).sum(-1)
    assert np.median(difference) < 0.02
    assert difference[3:-3].max() < 0.2


def test_a_damaged_pack_is_refused(monkeypatch: pytest.MonkeyPatch):
    from talkinghead.training.recogniser_weights import read_pack

    with pytest.raises(ValueError, match="hama"):
        read_pack(b"something else")


@pytest.mark.parametrize("recogniser", [None, SMALL])
def test_the_config_is_read_back_and_the_network_moves_the_mouth(recogniser: RecogniserConfig | None):
    tiny = EncoderConfig(conv_dim=(8, 8), hidden_size=16, num_layers=1, num_heads=2, feed_forward_size=16)
    config = replace(AudioToMotionConfig(), encoder=tiny, recogniser=recogniser)
    assert parse_config(asdict(config), Path("config.json")) == config
    network = SpeechToMouth(config).eval()
    with torch.inference_mode():
        assert network(speech(0.8)[None]).shape == (1, 20, 16)


def test_configs_from_before_it_are_read():
    values = asdict(AudioToMotionConfig())
    del values["recogniser"]
    assert parse_config(values, Path("config.json")).recogniser is None
