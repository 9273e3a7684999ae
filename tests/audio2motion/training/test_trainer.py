from dataclasses import replace

import pytest
import torch

from audio2motion.training.data import BatchSampler
from audio2motion.training.losses import LossWeights, correlation, mouth_loss, phoneme_loss
from audio2motion.training.metrics import pearson, score_lips
from audio2motion.training.speech_trainer import SpeechTrainConfig, SpeechTrainer, displacement_shapes


@pytest.fixture
def trainer(clips, tiny):
    def make(teachers=(), **changes) -> SpeechTrainer:
        config = SpeechTrainConfig(
            model=tiny.config,
            num_steps=60,
            batch_size=4,
            num_frames=40,
            learning_rate=1e-2,
            warmup_steps=5,
            bfloat16=False,
        )
        config = replace(config, **changes)
        torch.manual_seed(0)
        network = type(tiny.mouth)(tiny.config)
        network.readout.copy_(tiny.mouth.readout)
        network.rest.copy_(tiny.mouth.rest)
        sampler = BatchSampler(clips, config.num_frames, config.batch_size, config.seed)
        return SpeechTrainer(network, sampler, torch.eye(3), config, teachers)

    return make


def test_loss_falls(trainer):
    run = trainer()
    losses = [run.train_step()["loss"] for _ in range(60)]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


def test_resume_is_exact(trainer, tmp_path):
    straight, first = trainer(), trainer()
    for _ in range(3):
        first.train_step()
    first.save(tmp_path)
    second = trainer()
    second.resume(tmp_path)
    assert second.step == 3
    losses = [straight.train_step() for _ in range(6)][3:]
    assert [second.train_step() for _ in range(3)] == losses
    for name, value in straight.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name]), name
        assert torch.equal(straight.average[name], second.average[name]), name


def test_a_student_comes_to_speak_like_its_teacher(trainer):
    teacher = trainer(seed=5).network
    torch.nn.init.constant_(teacher.head.out.bias, 2.0)
    run = trainer([teacher], labels=0.0)

    @torch.no_grad()
    def distance() -> float:
        batch = run.sampler.batch(1000)
        return float((run.averaged()(batch.clean) - teacher(batch.clean)).abs().mean())

    before = distance()
    for _ in range(40):
        run.train_step()
    assert distance() < 0.5 * before


def test_the_seed_decides_the_run(trainer):
    same = [[trainer(seed=1).train_step()] for _ in range(2)]
    assert same[0] == same[1]
    assert trainer(seed=2).train_step() != same[0][0]


def test_batches_fit_and_repeat(clips):
    sampler = BatchSampler(clips, 50, 6, seed=3)
    batch, again = sampler.batch(5), sampler.batch(5)
    assert batch.waveform.shape == (6, 50 * 640)
    assert batch.mouth.shape == (6, 50, 3)
    assert batch.known.shape == (6, 50)
    assert batch.phonemes.shape == (6, 100, 2)
    assert torch.equal(batch.waveform, again.waveform)
    assert not torch.equal(batch.waveform, sampler.batch(6).waveform)
    assert batch.known.float().mean() > 0.5


def test_augmented_sound_keeps_its_timing(clips):
    batch = BatchSampler(clips, 50, 16, seed=0).batch(0)
    levels = [x.unfold(1, 640, 640).square().mean(-1).clamp_min(1e-8).log() for x in (batch.waveform, batch.clean)]
    assert batch.waveform.isfinite().all() and not torch.equal(batch.waveform, batch.clean)
    assert correlation(*levels, torch.ones(16, 50)).median() > 0.6


def test_sound_and_mouth_stay_together_in_batches(clips):
    batch = BatchSampler(clips, 50, 32, seed=0).batch(0)
    level = batch.waveform.unfold(1, 640, 640).square().mean(-1).sqrt()
    agreement = correlation(level, batch.mouth[..., 0], batch.known.float())
    assert agreement.median() > 0.8


def test_a_delayed_clip_is_read_with_later_lips(clips):
    frames = torch.arange(len(clips.mouth), dtype=torch.float32)
    numbered = replace(clips, mouth=frames[:, None].expand(-1, 3).contiguous(), delays=[0, 1, 1])
    sampler = BatchSampler(numbered, 20, 1, seed=0)
    sound, mouth, _, _ = sampler.read(1, 20, torch.Generator().manual_seed(0))
    first = int(mouth[0, 0]) - 1
    expected = clips.waveform[first * 640 : first * 640 + 640].float() / 32768
    assert torch.equal(sound[:640], expected)


@pytest.mark.parametrize("delay", [-1.5, 0.5, 2.25])
def test_lips_that_are_early_or_late_by_parts_of_a_frame_meet_their_sound(clips, delay):
    frames = torch.arange(len(clips.mouth), dtype=torch.float32)
    numbered = replace(clips, mouth=frames[:, None].expand(-1, 3).contiguous(), delays=[delay] * 3)
    sampler = BatchSampler(numbered, 20, 1, seed=0)
    for seed in range(20):
        sound, mouth, _, phonemes = sampler.read(0, 20, torch.Generator().manual_seed(seed))
        start = round((float(mouth[0, 0]) - delay) * 640)
        expected = clips.waveform[start : start + 20 * 640].float() / 32768
        assert 0 <= start <= (90 - 20) * 640 and torch.equal(sound, expected)
        assert phonemes.shape == (40, 2)


def test_sound_may_stay_as_it_is(clips):
    batch = BatchSampler(clips, 50, 16, seed=0, augmented=0).batch(0)
    spoken = batch.known.any(1) & (batch.mouth.flatten(1).abs().sum(1) > 0)  # without the windows that are silent
    assert spoken.sum() > 8 and torch.equal(batch.waveform[spoken], batch.clean[spoken])
    mixed = BatchSampler(clips, 50, 32, seed=0, augmented=0.5).batch(0)
    same = (mixed.waveform == mixed.clean).all(1).float().mean()
    assert 0.2 < same < 0.8


def test_speakers_are_balanced(clips):
    assert clips.speaker_weights(0).tolist() == [1, 1]
    assert clips.speaker_weights(1).tolist() == [90, 110]
    assert clips.speaker_weights(0.5)[0] == pytest.approx(90**0.5)


def test_a_perfect_mouth_costs_almost_nothing(tiny):
    real = torch.randn(2, 30, 3)
    known = torch.ones(2, 30, dtype=torch.bool)
    weights, shapes = LossWeights(), torch.eye(3)
    perfect = mouth_loss(real, real, known, shapes, tiny.mouth, weights)
    closed = mouth_loss(torch.zeros_like(real), real, known, shapes, tiny.mouth, weights)
    assert perfect < 0.1 < closed


def test_unknown_frames_are_not_learned(tiny):
    real, known = torch.randn(2, 30, 3), torch.ones(2, 30, dtype=torch.bool)
    known[:, 10:14] = False
    spoiled = real.clone()
    spoiled[:, 10:14] += 5
    weights, shapes = LossWeights(), torch.eye(3)
    clean = mouth_loss(real, real, known, shapes, tiny.mouth, weights)
    torch.testing.assert_close(mouth_loss(real, spoiled, known, shapes, tiny.mouth, weights), clean)


def test_displacement_shapes_measure_how_far_points_move():
    basis = torch.zeros(2, 4, 3)
    basis[0, :, 1] = 1.0  # moves four points
    basis[1, 0, 0] = 1.0  # moves one
    shapes = displacement_shapes(basis)
    assert shapes[0].norm() / shapes[1].norm() == pytest.approx(2.0)


def test_lag_and_amplitude_are_found():
    curve = torch.randn(200, generator=torch.Generator().manual_seed(0)).cumsum(0)
    late = torch.cat([curve[:1].expand(2), curve[:-2]])
    score = score_lips(0.5 * curve, late, curve, curve)
    assert score.lag == 2
    assert score.best == pytest.approx(1.0, abs=1e-3)
    assert score.amplitude == pytest.approx(0.5, abs=0.05)
    assert score.width == pytest.approx(1.0, abs=1e-4)
    assert pearson(torch.zeros(5), torch.arange(5.0)) == 0


def test_phonemes_are_learned_where_they_are_known():
    heard = torch.tensor([[[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]])
    right = 20 * heard
    assert phoneme_loss(right, heard) < 1e-3
    assert phoneme_loss(right.roll(1, 1), heard) > 5
    assert phoneme_loss(torch.zeros(1, 4, 0), torch.zeros(1, 4, 0)) == 0
