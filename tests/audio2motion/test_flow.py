"""The trainable motion generator: codec, sampling, streams, exact resume, several processes."""

import math
from dataclasses import replace

import pytest
import torch
from torch import multiprocessing

from audio2motion.config import EncoderConfig
from audio2motion.flow.codec import MotionCodec, to_motion, to_numbers
from audio2motion.flow.config import FlowConfig, FlowRules
from audio2motion.flow.model import MotionFlow
from audio2motion.flow.weights import load, save
from audio2motion.training.flow_data import FlowSampler, MotionClips
from audio2motion.training.flow_trainer import FlowTrainConfig, FlowTrainer, flow_loss, read_averaged
from audio2motion.voices import keypoints_of, load_voice
from liveportrait.errors import WeightsError, WeightsNotFoundError
from liveportrait.keypoints import rotation_matrix
from liveportrait.motion import Motion

ENCODER = EncoderConfig(
    conv_dim=(16, 16), hidden_size=16, num_layers=1, num_heads=2, feed_forward_size=16, position_kernel=5, dropout=0.0
)
TINY = FlowConfig(
    encoder=ENCODER, num_frames=12, num_previous=4, overlap=3, size=16, num_layers=2, num_heads=2, dropout=0.0
)
CONFIG = FlowTrainConfig(model=TINY, num_steps=60, batch_size=4, learning_rate=3e-3, warmup_steps=5)

pytestmark = pytest.mark.usefixtures("quick_processes")  # so that they are there when they are needed


def speech(frames, seed=0):
    """A voice that swells, and a face whose mouth and head follow it."""
    generator = torch.Generator().manual_seed(seed)
    level = torch.sin(torch.arange(frames) * 0.7).square()
    sound = 0.2 * torch.randn(frames * 640, generator=generator) * level.repeat_interleave(640)
    numbers = torch.zeros(frames, TINY.num_numbers)
    numbers[:, :63] = level[:, None] * 0.01 * torch.arange(63)
    numbers[:, 63], numbers[:, 67] = 1.5, 10 * level
    return sound, numbers


@pytest.fixture
def clips():
    sound, numbers = speech(100)
    return MotionClips((sound * 32767).to(torch.int16), numbers, [(0, 60), (60, 68), (68, 100)], [0, 1, 1])


def trainer(clips, **changes):
    config = replace(CONFIG, **changes)
    torch.manual_seed(config.seed)
    model = MotionFlow(config.model)
    model.codec.fit(clips.numbers)
    return FlowTrainer(model, FlowSampler(clips, 12, 4, config.seed, 0.5, 0.1, 0.3), config)


def test_motion_becomes_numbers_and_comes_back():
    angles = torch.tensor([[10.0, -20.0, 5.0], [0.0, 30.0, -8.0]])
    motion = Motion(rotation_matrix(*angles.unbind(1)), torch.randn(2, 21, 3), torch.ones(2, 1), torch.randn(2, 3))
    numbers = to_numbers(motion)
    assert numbers.shape == (2, 70)
    torch.testing.assert_close(numbers[:, 67:], angles, atol=1e-3, rtol=0)
    again = to_motion(numbers)
    torch.testing.assert_close(again.rotation, motion.rotation, atol=1e-5, rtol=0)
    assert torch.equal(again.expression, motion.expression)


def test_normal_numbers_have_mean_zero_and_deviation_one():
    codec = MotionCodec(2)
    codec.fit(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
    assert codec.encode(torch.tensor([2.0 + math.sqrt(2), 5.0])).tolist() == pytest.approx([1, 0], abs=1e-5)
    torch.testing.assert_close(codec.decode(codec.encode(torch.tensor([7.0, 8.0]))), torch.tensor([7.0, 8.0]))


def test_rows_repeat_and_stay_inside_their_clip(clips):
    numbered = replace(clips, numbers=torch.arange(100.0)[:, None].expand(-1, 70).contiguous())
    sampler = FlowSampler(numbered, 12, 4, 0, 0.5, 0.1, 0.3)
    batch, again = sampler.batch(3, range(64)), sampler.batch(3, range(60, 64))
    assert torch.equal(batch.clean[60:], again.clean) and torch.equal(batch.noise[60:], again.noise)
    assert batch.waveform.shape == (64, 16 * 640)
    first = batch.clean[:, 0, 0]
    inside = [
        any(a <= f and f + k <= b for a, b in clips.bounds) for f, k in zip(first, batch.known.sum(1), strict=True)
    ]
    assert all(inside)
    assert (batch.known.sum(1) == 8).any()  # the short clip
    going_on = batch.previous[batch.continues][:, -1, 0]
    assert torch.equal(going_on, first[batch.continues] - 1) and len(going_on)
    assert 0.6 < batch.has_voice.float().mean() <= 1


def test_sound_and_motion_of_a_row_belong_together(clips):
    batch = FlowSampler(clips, 12, 4, 0, 0.5, 0, 0).batch(0, range(32))
    level = batch.waveform.unfold(1, 640, 640).square().mean(-1).sqrt()[:, 4:]
    level, opening = (value - value.mean(1, keepdim=True) for value in (level, batch.clean[:, :, 62]))
    assert ((level * opening).sum(1) / (level.norm(dim=1) * opening.norm(dim=1) + 1e-9)).median() > 0.8


def test_a_perfect_estimate_costs_nothing_and_unknown_frames_neither():
    clean, known = torch.randn(2, 6, 70), torch.ones(2, 6, dtype=torch.bool)
    assert flow_loss(clean, clean, known, torch.ones(70), 0.5) == 0
    shifted = clean + 1
    assert float(flow_loss(shifted, clean, known, torch.ones(70), 0.5)) == pytest.approx(1)  # no speed is wrong
    shifted[:, 4:] += 9
    known[:, 4:] = False
    assert float(flow_loss(shifted, clean, known, torch.ones(70), 0.5)) == pytest.approx(1)


def test_sampling_ends_at_the_estimate():
    """A network that always says the same is believed in the end, after any number of steps."""
    model = MotionFlow(TINY).eval()
    target = torch.randn(1, 12, 70)
    model.network.forward = lambda x, time, voice, previous: target.expand(len(x), -1, -1)
    for steps in (1, 5):
        voice, before = torch.zeros(1, 16, 16), torch.zeros(1, 4, 70)
        found = model.sample(voice, before, torch.randn(1, 12, 70), FlowRules(steps, 2.0))
        torch.testing.assert_close(found, target, atol=1e-5, rtol=1e-4)


def test_guidance_goes_beyond_the_voice():
    model = MotionFlow(TINY).eval()
    model.network.forward = lambda x, time, voice, previous: voice[:, 4:, :1].expand(-1, -1, 70)
    model.network.unheard.data.zero_()
    found = model.sample(torch.ones(1, 16, 16), torch.zeros(1, 4, 70), torch.zeros(1, 12, 70), FlowRules(1, 3.0))
    assert (found == 3).all()


@pytest.mark.parametrize("samples", [1, 640, 12 * 640, 12 * 640 + 1, 30_000])
@pytest.mark.parametrize("size", [700, 10**6])
def test_every_sample_has_its_frame_whatever_the_chunks(samples, size):
    torch.manual_seed(0)
    model, sound = MotionFlow(TINY).eval(), 0.1 * torch.randn(samples)
    whole, parts = (Motion.cat(list(model.stream(sound.split(n), seed=2))) for n in (10**6, size))
    assert len(parts) == math.ceil(samples / 640)
    torch.testing.assert_close(parts.expression, whole.expression)
    assert list(model.stream([])) == []


def test_learning_makes_the_voice_matter(clips):
    run = trainer(clips)
    losses = [run.train_step()["loss"] for _ in range(60)]
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])
    voice, silence = speech(40)[0], torch.zeros(40 * 640)
    model = run.averaged()
    spoken, silent = (Motion.cat(list(model.stream([sound], seed=1))) for sound in (voice, silence))
    assert not torch.allclose(spoken.expression, silent.expression)
    again = Motion.cat(list(model.stream([voice], seed=1)))
    assert torch.equal(spoken.rotation, again.rotation)


def test_resume_is_exact(clips, tmp_path):
    straight, first = trainer(clips), trainer(clips)
    for _ in range(3):
        first.train_step()
    first.save(tmp_path)
    second = trainer(clips)
    second.resume(tmp_path)
    losses = [straight.train_step() for _ in range(6)][3:]
    assert [second.train_step() for _ in range(3)] == losses
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
        assert torch.equal(straight.average[name], second.average[name]), name
    second.save(tmp_path)
    exported = read_averaged(tmp_path).state_dict()
    assert all(torch.equal(exported[name], second.average[name]) for name in exported)


def test_bfloat16_learns_too(clips):
    run = trainer(clips, bfloat16=True)
    losses = [run.train_step()["loss"] for _ in range(30)]
    assert sum(losses[-5:]) < sum(losses[:5])
    assert all(value.dtype == torch.float32 for value in run.model.parameters())


def _process(rank, clips, folder):
    torch.set_num_threads(1)
    store = torch.distributed.FileStore(str(folder / "store"), 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    run = trainer(clips)
    run.train_step()
    run.save(folder)
    torch.distributed.destroy_process_group()


def test_two_processes_learn_what_one_learns(clips, tmp_path, quick_processes):
    whole = replace(clips, bounds=[(0, 60)], speakers=[0])  # every row counts alike
    multiprocessing.start_processes(_process, (whole, tmp_path), nprocs=2, start_method="forkserver")
    alone, together = trainer(whole), trainer(whole)
    alone.train_step()
    together.resume(tmp_path)
    assert together.step == 1
    mine, theirs = (run.optimizers["optimizer"].state_dict()["state"] for run in (alone, together))
    for number, state in mine.items():
        torch.testing.assert_close(state["exp_avg"], theirs[number]["exp_avg"], atol=1e-6, rtol=1e-3)


def test_models_are_saved_and_loaded_with_their_number_of_keypoints(tmp_path):
    model = MotionFlow(TINY).eval()
    save(model, tmp_path / "voice")
    assert keypoints_of(tmp_path / "voice") == 21
    again = load_voice(tmp_path / "voice")
    sound = 0.1 * torch.randn(20_000)
    a, b = (Motion.cat(list(voice.stream([sound], seed=3))) for voice in (model, again))
    assert torch.equal(a.expression, b.expression)
    with pytest.raises(WeightsNotFoundError, match="no motion generator"):
        load(tmp_path)
    (tmp_path / "voice" / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="not readable as safetensors"):
        load(tmp_path / "voice")
