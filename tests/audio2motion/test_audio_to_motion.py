import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from audio2motion import AudioToMotion
from audio2motion.encoder import SpeechEncoder
from audio2motion.model import LIP_DELAY
from audio2motion.weights import save
from liveportrait.errors import PortraitError, WeightsError, WeightsNotFoundError

FIELDS = ("expression", "lip_ratio", "eye_openness", "gaze_deg", "rotation", "translation")


def joined(parts):
    parts = list(parts)
    return {name: torch.cat([getattr(part, name) for part in parts]) for name in FIELDS}


@pytest.mark.parametrize(("samples", "frames"), [(1, 1), (640, 1), (641, 2), (16_000, 25), (80_001, 126)])
def test_every_sample_is_covered_by_a_frame(tiny, samples, frames):
    speech_motion = tiny.generate(0.1 * torch.randn(samples))
    assert len(speech_motion) == frames
    assert speech_motion.expression.shape == (frames, 5)
    assert speech_motion.lip_ratio.shape == (frames, 1)
    assert speech_motion.eye_openness.shape == speech_motion.gaze_deg.shape == (frames, 2)
    assert speech_motion.rotation.shape == (frames, 3, 3)
    assert speech_motion.translation.shape == (frames, 3)


@pytest.mark.parametrize("size", [100, 640, 7_777, 60_000])
def test_chunks_do_not_change_the_motion(tiny, voice, size):
    sound = voice(11.3)
    whole = joined([tiny.generate(sound, seed=4)])
    parts = joined(tiny.stream(sound.split(size), seed=4))
    for name in FIELDS:
        torch.testing.assert_close(parts[name], whole[name], rtol=1e-4, atol=1e-4)


def test_windows_agree_with_one_pass_over_everything(tiny, voice):
    sound = voice(9.0)
    streamed = tiny.generate(sound).expression[:, :3]
    level = 10 ** (-1.0) / (sound.unfold(0, 320, 320).square().mean(1).sqrt().quantile(0.95))
    with torch.inference_mode():
        heard = torch.nn.functional.pad(sound * level, (LIP_DELAY, -LIP_DELAY))
        whole = tiny.mouth.calibrate(tiny.mouth(heard[None])[0])
    # Attention sees the window it is in, so results may differ a little, and nowhere jump.
    spread = whole.std(0).mean()
    assert (streamed - whole).abs().mean() < 0.25 * spread
    assert streamed.diff(dim=0).abs().amax() < 1.5 * whole.diff(dim=0).abs().amax()


def test_an_empty_stream_has_no_motion_and_an_empty_recording_is_an_error(tiny):
    assert list(tiny.stream([])) == []
    assert list(tiny.stream([torch.zeros(0)])) == []
    with pytest.raises(ValueError, match="empty"):
        tiny.generate(torch.zeros(0))


@pytest.mark.parametrize("wrong", [torch.zeros(2, 100), torch.zeros(100, dtype=torch.int16)])
def test_other_than_a_row_of_samples_is_refused(tiny, wrong):
    with pytest.raises(ValueError, match="shape"):
        tiny.generate(wrong)


def test_the_seed_decides_idle_motion_but_not_lips(tiny, voice):
    first, again, other = (tiny.generate(voice(8.0), seed=seed) for seed in (1, 1, 2))
    for name in FIELDS:
        assert torch.equal(getattr(first, name), getattr(again, name))
    assert torch.equal(first.lip_ratio, other.lip_ratio)
    assert not torch.allclose(first.rotation, other.rotation)
    assert not torch.allclose(first.gaze_deg, other.gaze_deg)


def test_silence_closes_the_mouth(tiny, voice):
    tiny.mouth.head.out.bias.data[0] = 2.0  # a network that would hold the mouth open
    sound = torch.cat([voice(2.0), torch.zeros(32_000), voice(2.0)])
    ratio = tiny.generate(sound).lip_ratio[:, 0]
    assert (ratio[60:90] == 0).all()
    assert ratio[10:40].mean() > 0.1
    closing = ratio[48:62]
    assert closing.diff().min() > -0.5 * ratio[10:40].max()  # over frames, not at once


def test_digital_silence_alone_has_closed_lips_and_idle_motion(tiny):
    speech_motion = tiny.generate(torch.zeros(160_000), seed=3)
    assert (speech_motion.lip_ratio == 0).all()
    assert speech_motion.rotation.std(0).max() > 1e-3
    assert speech_motion.eye_openness.min() < 0.2


def test_loudness_does_not_matter(tiny, voice):
    sound = voice(4.0)
    loud, quiet = tiny.generate(sound), tiny.generate(0.2 * sound)
    torch.testing.assert_close(loud.expression, quiet.expression, rtol=1e-2, atol=1e-2)


def test_lip_ratio_is_opening_over_width_and_never_negative(tiny):
    mouth = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [-3.0, 0.0, 0.0]])
    torch.testing.assert_close(tiny.mouth.lip_ratio(mouth)[:, 0], torch.tensor([0.1 / 0.7, 0.1 / 0.8, 0.0]))


def test_calibration_widens_about_half_the_mean_opening_and_lets_lips_meet(tiny):
    tiny.mouth.center.copy_(torch.tensor([1.0, 0.2, 0.0]))  # the first opens, the others keep their centre
    tiny.mouth.contrast.fill_(2.0)
    calibrated = tiny.mouth.calibrate(torch.tensor([[1.5, 0.5, 0.0], [0.0, 0.0, 0.0]]))
    torch.testing.assert_close(calibrated, torch.tensor([[2.5, 0.8, 0.0], [0.0, -0.2, 0.0]]), atol=1e-5, rtol=0)


def test_calibration_without_contrast_changes_nothing_but_lips_that_cross(tiny):
    tiny.mouth.center.copy_(torch.tensor([1.0, 0.2, 0.0]))
    said = torch.tensor([[0.3, -0.5, 0.7], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(tiny.mouth.calibrate(said), said)


def test_a_click_moves_the_states_around_its_own_frame(tiny):
    encoder = SpeechEncoder(tiny.config.encoder).eval()
    with torch.no_grad():
        for layer in encoder.network.encoder.layers:  # attention sees everything; the convolutions must be aligned
            layer.attention.out_proj.weight.zero_()
            layer.feed_forward.output_dense.weight.zero_()
        position = encoder.network.encoder.pos_conv_embed
        position.register_forward_hook(lambda module, args, output: torch.zeros_like(output))
        for state in (10, 25, 47):
            noise = 1e-3 * torch.randn(1, 64 * 320)
            click = noise.clone()
            click[0, 320 * state : 320 * state + 320] += torch.randn(320)
            moved = (encoder(click) - encoder(noise)).abs().sum(-1)[0]
            center = (moved * torch.arange(64)).sum() / moved.sum()
            assert abs(float(center) - state) < 0.6


def test_a_click_moves_its_own_video_frame(tiny):
    noise = 1e-3 * torch.randn(1, 50 * 640)
    network = tiny.mouth
    base = network.head.to_frames(torch.zeros(1, 16, 100))
    states = torch.zeros(1, 16, 100)
    states[..., 40:42] = 1.0  # both halves of frame 20
    moved = (network.head.to_frames(states) - base).abs().sum(1)[0]
    assert noise.shape[1] // 640 == base.shape[-1]
    assert int(moved.argmax()) in (19, 20, 21)
    assert moved[:19].sum() == 0
    assert moved[22:].sum() == 0


def test_weights_come_back(tiny, tmp_path, voice):
    save(tiny, tmp_path)
    again = AudioToMotion.from_pretrained(tmp_path)
    assert again.config == tiny.config
    sound = voice(2.0)
    torch.testing.assert_close(again.generate(sound).expression, tiny.generate(sound).expression, rtol=0.05, atol=0.02)


def test_missing_and_wrong_weights_say_so(tiny, tmp_path):
    with pytest.raises(WeightsNotFoundError, match="nowhere"):
        AudioToMotion.from_pretrained(tmp_path / "nowhere")
    save(tiny, tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors.pop("brow_lift")
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=r"model\.safetensors.*brow_lift"):
        AudioToMotion.from_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"hello")
    with pytest.raises(WeightsError):
        AudioToMotion.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"encoder": {}, "colour": 3}))
    with pytest.raises(PortraitError, match="colour"):
        AudioToMotion.from_pretrained(tmp_path)


@torch.no_grad()
def test_the_graph_that_ships_is_that_of_the_weights_that_ship():
    network = AudioToMotion.from_pretrained("mini").mouth
    for frames in (1, 7, 80):
        sound = 0.1 * torch.randn(1, 640 * frames, generator=torch.Generator().manual_seed(frames))
        inputs = network.read(sound)
        assert network.graph is not None and network.graph.suits(inputs, torch.float32)
        assert torch.allclose(network(sound), network.encode_and_decode(*inputs)[1], atol=2e-4)
