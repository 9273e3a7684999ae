"""Published encoders of every make, as tiny random checkpoints on disk."""

from dataclasses import replace

import pytest
import torch

from audio2motion import AudioToMotion
from audio2motion.encoder import SpeechEncoder, _resampled
from audio2motion.network import SpeechToMouth
from audio2motion.training.data import BatchSampler
from audio2motion.training.speech_trainer import SpeechTrainConfig, SpeechTrainer
from audio2motion.weights import save
from liveportrait.errors import WeightsError, WeightsNotFoundError

SIZES = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 16}
SIZES |= {"conv_dim": (8,) * 7, "num_conv_pos_embedding_groups": 2, "num_conv_pos_embeddings": 4}
LARGE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
FAST = {"conv_dim": (8,) * 6, "conv_kernel": (10, 3, 3, 3, 3, 2), "conv_stride": (5, 2, 2, 2, 2, 2)}
SLOW = {"conv_stride": (5, 2, 2, 2, 2, 2, 4), "conv_kernel": (10, 3, 3, 3, 3, 2, 4)}


def checkpoint(folder, make, **changes):
    import transformers

    config = getattr(transformers, f"{make}Config")(**(SIZES | changes))
    torch.manual_seed(0)
    getattr(transformers, f"{make}Model")(config).save_pretrained(folder)
    return folder


def encoder(tiny, folder, **changes) -> SpeechEncoder:
    return SpeechEncoder(replace(tiny.config.encoder, checkpoint=str(folder), **changes))


@pytest.mark.parametrize(
    ("make", "changes"),
    [("Wav2Vec2", {}), ("Hubert", {}), ("WavLM", {}), ("Wav2Vec2", LARGE), ("Wav2Vec2", FAST), ("Hubert", SLOW)],
    ids=["wav2vec2", "hubert", "wavlm", "xls-r", "100 a second", "25 a second"],
)
def test_every_make_gives_a_state_for_320_samples(tiny, tmp_path, make, changes):
    network = encoder(tiny, checkpoint(tmp_path / "e", make, **changes)).eval()
    with torch.inference_mode():
        assert network(torch.randn(2, 320 * 12)).shape == (2, 12, 16)
        assert network(torch.randn(1, 320 * 13)).shape == (1, 13, 16)


@pytest.mark.parametrize("changes", [FAST, SLOW])
def test_other_strides_stay_aligned(tiny, tmp_path, changes):
    """A click moves what the convolutions say about its own moment."""
    network = encoder(tiny, checkpoint(tmp_path / "e", "Wav2Vec2", **changes, feat_extract_norm="layer")).eval()
    left = network.margin // 2
    for frame in (6, 15, 24):
        noise = 1e-2 * torch.randn(1, 32 * 640)
        click = noise.clone()
        click[0, 640 * frame : 640 * frame + 640] += 0.1 * torch.randn(640)
        padded = (torch.nn.functional.pad(sound, (left, network.margin - left)) for sound in (noise, click))
        with torch.inference_mode():
            a, b = (network.network.feature_extractor(sound) for sound in padded)
        moved = (a - b).abs().sum(1)[0]
        center = (moved * (torch.arange(len(moved)) + 0.5)).sum() / moved.sum() * network.stride
        assert abs(float(center) - 640 * (frame + 0.5)) < 320


def test_states_are_interpolated_between_their_middles():
    states = torch.arange(4.0)[None, :, None]
    assert _resampled(states, 0.5, 8)[0, :, 0].tolist() == [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]
    assert _resampled(states, 2.0, 2)[0, :, 0].tolist() == [0.5, 2.5]


def test_fewer_layers_are_used_and_saved(tiny, tmp_path, voice):
    folder = checkpoint(tmp_path / "e", "WavLM")
    config = replace(tiny.config, encoder=replace(tiny.config.encoder, checkpoint=str(folder), layer=2))
    model = AudioToMotion(config).eval()
    assert len(model.mouth.encoder.network.encoder.layers) == 2
    save(model, tmp_path / "ours")
    (folder / "model.safetensors").unlink()
    again = AudioToMotion.from_pretrained(tmp_path / "ours")  # needs the published files no more
    sound = voice(1.0)
    torch.testing.assert_close(again.generate(sound).expression, model.generate(sound).expression, atol=0.02, rtol=0.05)
    with pytest.raises(WeightsError, match="has 3 layers, not 4"):
        encoder(tiny, checkpoint(tmp_path / "f", "WavLM"), layer=4)


def test_loudness_does_not_matter_to_any(tiny, tmp_path):
    network = encoder(tiny, checkpoint(tmp_path / "e", "Wav2Vec2", **LARGE)).eval()
    sound = torch.randn(1, 6400)
    with torch.inference_mode():
        torch.testing.assert_close(network(sound), network(0.1 * sound + 0.2), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("frozen", [True, False])
def test_training_leaves_a_frozen_encoder_alone(tiny, tmp_path, clips, frozen):
    encoder_config = replace(tiny.config.encoder, checkpoint=str(checkpoint(tmp_path / "e", "Hubert")), frozen=frozen)
    config = SpeechTrainConfig(
        replace(tiny.config, encoder=encoder_config), batch_size=2, num_frames=20, bfloat16=False
    )
    network = SpeechToMouth(config.model)
    network.readout.copy_(tiny.mouth.readout)
    before = {name: value.clone() for name, value in network.encoder.state_dict().items()}
    trainer = SpeechTrainer(network, BatchSampler(clips, 20, 2, seed=0), torch.eye(3), config)
    assert network.encoder.network.training != frozen
    for _ in range(2):
        trainer.train_step()
    changed = {name for name, value in network.encoder.state_dict().items() if not torch.equal(value, before[name])}
    assert bool(changed) != frozen
    assert not any("feature_extractor" in name for name in changed)
    trainer.save(tmp_path)
    trainer.resume(tmp_path)


def test_what_is_no_encoder_says_so(tiny, tmp_path):
    with pytest.raises(WeightsNotFoundError, match=r"nowhere: no speech encoder.*WavLM"):
        encoder(tiny, tmp_path / "nowhere")
    import transformers

    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    transformers.BertModel(transformers.BertConfig(vocab_size=10, **small)).save_pretrained(tmp_path / "bert")
    with pytest.raises(WeightsError, match="is bert; give a Wav2Vec2"):
        encoder(tiny, tmp_path / "bert")


def test_the_embedded_encoder_is_that_of_transformers(tiny):
    transformers = pytest.importorskip("transformers")
    own = tiny.mouth.encoder.network
    config = tiny.config.encoder
    theirs = transformers.Wav2Vec2Model(
        transformers.Wav2Vec2Config(
            hidden_size=config.hidden_size,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            intermediate_size=config.feed_forward_size,
            conv_dim=config.conv_dim,
            conv_kernel=config.conv_kernel,
            conv_stride=config.conv_stride,
            conv_bias=True,
            feat_extract_norm="layer",
            do_stable_layer_norm=True,
            num_conv_pos_embeddings=config.position_kernel,
            num_conv_pos_embedding_groups=16,
            mask_time_prob=0.0,
        )
    ).eval()
    theirs.load_state_dict(own.state_dict())
    waveform = torch.randn(2, 8000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(own(waveform), theirs(waveform).last_hidden_state, atol=1e-5)
