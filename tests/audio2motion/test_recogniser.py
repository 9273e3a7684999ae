"""The recogniser: its alignment, its initial weights from a published recogniser, and its place in the model."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from transformers import Wav2Vec2Config
from whisper_tiny import save_whisper

from audio2motion.config import AudioToMotionConfig, EncoderConfig, RecogniserConfig
from audio2motion.network import SpeechToMouth
from audio2motion.recogniser import Recogniser
from audio2motion.weights import parse_config
from talkinghead.errors import OptionError
from talkinghead.training.recogniser_weights import mel_bands, read_recogniser

SMALL = RecogniserConfig(num_mels=16, size=16, num_layers=1, num_heads=2, feed_forward_size=32)


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


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small Whisper model of three layers."""
    folder = tmp_path_factory.mktemp("whisper")
    save_whisper(folder)
    return folder


def test_whispers_weights_give_whispers_states(whisper: Path):
    from transformers import WhisperModel

    config, state = read_recogniser(str(whisper), 3)
    network = Recogniser(config).eval()
    network.load_state_dict(state)
    spectrum = torch.randn(1, 3000, 16, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = WhisperModel.from_pretrained(whisper).eval().encoder(spectrum.transpose(1, 2)).last_hidden_state
        assert torch.allclose(network(spectrum), expected, atol=1e-4)


def test_the_spectrum_is_whispers(whisper: Path):
    from transformers import WhisperFeatureExtractor

    network = Recogniser(replace(SMALL, num_mels=80))
    network.mel.copy_(mel_bands(80))
    sound = speech(2.0)
    sound = sound / sound.abs().max()
    found = network.spectrum(sound[None])[0]
    # Whisper centres a frame on sample 160 j, one frame earlier, and cuts at 80 dB below the loudest frame.
    theirs = WhisperFeatureExtractor(80)(sound.numpy(), sampling_rate=16_000).input_features[0]
    expected = torch.from_numpy(theirs).T[1 : 1 + len(found)]
    inner = slice(2, -2)
    loud = expected[inner] > expected.min() + 0.5
    assert (found[inner] - expected[inner])[loud].abs().max() < 1e-3


def test_fewer_layers_are_taken_and_more_are_refused(whisper: Path):
    config, state = read_recogniser(str(whisper), 2)
    assert config.num_layers == 2
    Recogniser(config).load_state_dict(state)
    with pytest.raises(OptionError, match="has 3 layers; --recogniser-layers 4 must be from 1 to 3"):
        read_recogniser(str(whisper), 4)


def test_what_is_no_whisper_model_is_refused(tmp_path: Path, whisper: Path):
    with pytest.raises(OptionError, match="no Whisper model"):
        read_recogniser(str(tmp_path), 1)
    Wav2Vec2Config().save_pretrained(tmp_path / "other")
    with pytest.raises(OptionError, match="is a wav2vec2 model; give a Whisper model"):
        read_recogniser(str(tmp_path / "other"), 1)
    shutil.copytree(whisper, tmp_path / "damaged")
    (tmp_path / "damaged" / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(OptionError, match="no Whisper model"):
        read_recogniser(str(tmp_path / "damaged"), 1)


@pytest.mark.parametrize("recogniser", [None, SMALL])
def test_the_config_is_read_back_and_the_network_moves_the_mouth(recogniser: RecogniserConfig | None):
    tiny = EncoderConfig(conv_dim=(8, 8), hidden_size=16, num_layers=1, num_heads=2, feed_forward_size=16)
    config = replace(AudioToMotionConfig(), encoder=tiny, recogniser=recogniser)
    assert parse_config(asdict(config), Path("config.json")) == config
    network = SpeechToMouth(config).eval()
    with torch.inference_mode():
        assert network(speech(0.8)[None]).shape == (1, 20, 16)


def test_it_is_not_trained_but_its_states_are_read():
    tiny = EncoderConfig(conv_dim=(8, 8), hidden_size=16, num_layers=1, num_heads=2, feed_forward_size=16)
    network = SpeechToMouth(replace(AudioToMotionConfig(), encoder=tiny, recogniser=SMALL)).train()
    assert network.recogniser is not None and not network.recogniser.training
    network(speech(0.8)[None]).square().sum().backward()
    assert all(weight.grad is None for weight in network.recogniser.parameters())
    assert network.head.to_frames.weight.grad is not None


def test_a_frozen_encoder_keeps_its_weights():
    tiny = EncoderConfig(conv_dim=(8, 8), hidden_size=16, num_layers=1, num_heads=2, feed_forward_size=16, frozen=True)
    network = SpeechToMouth(replace(AudioToMotionConfig(), encoder=tiny)).train()
    assert not network.encoder.network.training
    network(speech(0.8)[None]).square().sum().backward()
    assert all(weight.grad is None for weight in network.encoder.parameters())


def test_configs_from_before_it_are_read():
    values = asdict(AudioToMotionConfig())
    del values["recogniser"]
    assert parse_config(values, Path("config.json")).recogniser is None
