"""Generation: which moment moves which frame, seeds, seams, and the samplers on a problem with a known answer."""

from __future__ import annotations

import math

import pytest
import torch
from joyvasa_reference import model, tiny_model
from torch.nn.functional import avg_pool1d

from audio2motion.joyvasa import GenerationRules
from audio2motion.joyvasa.model import Context
from audio2motion.joyvasa.sampler import clamp_to_quantile, cosine_schedule, fast_steps, full_steps
from audio2motion.joyvasa.speech_features import pad_window
from audio2motion.joyvasa.template import GeneratedPose, average
from audio2motion.joyvasa.windows import cut_windows, fade, plan_windows
from liveportrait.compose import compose_picture
from liveportrait.motion import Motion
from liveportrait.regions import OFFICIAL
from talkinghead.driver.speech import speech_rules
from talkinghead.options import MotionOptions

QUICK = GenerationRules(num_steps=3)
QUICK_UPSTREAM = GenerationRules(num_steps=3, trim_lead=False)


def voice(num_samples: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(num_samples, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("samples", [1, 640, 641, 9000, 12_800, 40_000])
def test_every_frame_of_the_sound_has_its_motion(samples):
    motion = tiny_model()(voice(samples), rules=QUICK)
    assert len(motion) == math.ceil(samples / 640)
    assert motion.expression.shape[1:] == (21, 3)
    assert torch.allclose(motion.rotation @ motion.rotation.transpose(1, 2), torch.eye(3), atol=1e-5)


@pytest.mark.parametrize("samples", [1, 12_160, 40_000])
@pytest.mark.parametrize("size", [100, 5_000, 99_999])
def test_a_stream_gives_what_the_whole_recording_gives(samples, size):
    rules, sound = GenerationRules(num_steps=3, overlap=6), voice(samples)
    whole = tiny_model()(sound, seed=5, rules=rules)
    streamed = Motion.cat(list(tiny_model().stream(sound.split(size), seed=5, rules=rules)))
    for name in ("expression", "rotation", "scale", "translation"):
        torch.testing.assert_close(getattr(streamed, name), getattr(whole, name), rtol=0, atol=1e-5)


def test_a_stream_moves_before_it_ends():
    """Two windows of 20 frames are generated; the third part of the sound is never asked for."""

    def chunks():
        yield voice(30 * 640)
        raise AssertionError("asked for more sound than the first motion needs")

    first = next(iter(tiny_model().stream(chunks(), rules=QUICK)))
    assert len(first) == 18
    assert list(tiny_model().stream([], rules=QUICK)) == []


def test_upstream_s_motion_starts_two_frames_before_the_sound():
    """One window either way: the same motion, but upstream shows it 80 ms after the sound it was made from."""
    sound = voice(16 * 640)
    ours, theirs = tiny_model()(sound, rules=QUICK), tiny_model()(sound, rules=QUICK_UPSTREAM)
    assert (len(ours), len(theirs)) == (16, 19)
    assert torch.equal(ours.expression, theirs.expression[2:18])
    assert torch.equal(ours.rotation, theirs.rotation[2:18])


@pytest.mark.parametrize(("trim_lead", "lag"), [(True, 0), (False, 2)])
@pytest.mark.parametrize("frame", [0, 5, 13])
def test_lag_between_a_sound_and_the_frame_that_it_moves(trim_lead, lag, frame):
    """Another sound in frame k of the recording changes above all what output frame k + lag is given to hear.

    The denoiser adds features of its own frame only (`test_each_frame_hears_its_own_moment_only`), so the two padded
    frames are a lag of 80 ms unless the network has learned to move ahead of what it hears.
    """
    sound, encoder = voice(16 * 640), tiny_model().audio_encoder.feature_extractor
    changed = sound.clone()
    changed[frame * 640 : frame * 640 + 640] += voice(640, seed=1)
    plan = plan_windows(len(sound), 20, 0, trim_lead)
    one, other = (encoder(pad_window(next(cut_windows(wave, plan, 20)))) for wave in (sound, changed))
    # Two encoder states make one frame.
    change = avg_pool1d((other - one).square().sum(1), 2)[0, plan.first_frame :]
    assert int(change.argmax()) == frame + lag


def test_seeds_decide_everything():
    sound = voice(20_000)
    torch.manual_seed(1)
    one = tiny_model()(sound, seed=3, rules=GenerationRules())
    torch.manual_seed(2)
    state = torch.get_rng_state()
    again, other = tiny_model()(sound, seed=3, rules=GenerationRules()), tiny_model()(sound, seed=4)
    assert torch.equal(one.expression, again.expression)
    assert torch.equal(one.rotation, again.rotation)
    assert not torch.allclose(one.expression, other.expression)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_voice_decides_too():
    one, other = (tiny_model()(voice(20_000, seed), rules=QUICK) for seed in (0, 1))
    assert not torch.allclose(one.expression, other.expression)


def test_generated_motion_is_composed_onto_a_face():
    driving = tiny_model()(voice(20_000), rules=QUICK)
    composed = compose_picture(Motion.still(1, 21), driving, driving[0], speech_rules(MotionOptions()))
    assert len(composed) == len(driving)
    # The first frame is neutral but for the lips, which take the generated expression itself.
    moved = composed.expression[0].norm(dim=1).nonzero().flatten().tolist()
    assert moved == list(OFFICIAL.lips)


@pytest.mark.parametrize(("overlap", "largest"), [(0, 1.0), (7, 1 / 8)])
def test_overlapping_windows_leave_no_seam(overlap, largest, monkeypatch):
    """Windows that disagree by one, joined: the step at the seam is spread over the frames they share."""
    net, made = tiny_model(), []

    def sample(context, start, noise, rules):
        made.append(context)
        yield torch.full_like(start, float(len(made)))

    monkeypatch.setattr(net, "sample", sample)
    sound = torch.arange(20 + 3 * (20 - overlap)).float()[None, :, None].expand(1, -1, 32)
    features = [sound[:, k * (20 - overlap) : k * (20 - overlap) + 20] for k in range(4)]
    moved = net.generate_normalized(features, torch.randn, GenerationRules(overlap=overlap))[0]
    assert moved.shape == (sound.shape[1], 73)
    assert moved[0, 0] == 1
    assert moved[-1, 0] == 4
    assert moved.diff(dim=0).max() == pytest.approx(largest)
    # Each window continues the four frames before its own first one, in motion and in sound.
    first = 2 * (20 - overlap)
    assert torch.equal(made[2].previous_motion[0], moved[first - 4 : first])
    assert made[2].previous_audio[0, :, 0].tolist() == list(range(first - 4, first))


def test_fading_goes_from_one_to_the_other():
    faded = fade(torch.zeros(1, 3, 1), torch.ones(1, 3, 1))
    assert faded.flatten().tolist() == [0.25, 0.5, 0.75]
    plan = plan_windows(52 * 640, 20, 4, trim_lead=True)
    assert (plan.num_windows, plan.stride, plan.first_frame, plan.end_frame) == (4, 16, 2, 54)


def test_windows_hold_silence_around_the_sound():
    plan = plan_windows(30 * 640, 20, 0, trim_lead=True)
    joined = torch.cat(list(cut_windows(torch.ones(30 * 640), plan, 20)), 1)[0]
    assert joined.shape == (2 * 20 * 640,)
    assert joined[: 2 * 640].abs().max() == 0
    assert joined[2 * 640 : 32 * 640].min() == 1
    assert joined[32 * 640 :].abs().max() == 0


@pytest.mark.parametrize(
    ("sound", "rules", "message"),
    [
        (torch.zeros(0), QUICK, "empty recording"),
        (torch.zeros(2, 640), QUICK, r"shape \(N,\)"),
        (torch.zeros(640, dtype=torch.int16), QUICK, r"shape \(N,\)"),
        (torch.zeros(640), GenerationRules(overlap=11), "overlap by 10 at most, not 11"),
        (torch.zeros(640), GenerationRules(num_steps=51), "1 to 50 steps, not 51"),
    ],
)
def test_wrong_calls_say_so(sound, rules, message):
    with pytest.raises(ValueError, match=message):
        tiny_model()(sound, rules=rules)


@pytest.mark.parametrize("wrong", [{"num_steps": 0}, {"flexibility": 1.5}, {"overlap": -1}])
def test_rules_out_of_range_say_so(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        GenerationRules(**wrong)


def test_averaging_keeps_the_first_frame_and_the_expression():
    assert average(torch.tensor([[1.0], [2.0], [2.0]]), 0.5).flatten().tolist() == [1.0, 1.5, 1.75]
    pose = GeneratedPose(torch.randn(4, 21, 3), *(torch.randn(4, n) for n in (1, 3, 1, 1, 1)))
    assert torch.equal(pose.smoothed().expression, pose.expression)


def test_clamping_to_a_quantile():
    clean = torch.tensor([[[-4.0, 1.0, 0.5, 0.25]], [[0.1, -0.1, 0.1, 0.1]]])
    clamped = clamp_to_quantile(clean, 0.5, 0.2, 2.0)
    # The first sample's median magnitude is 0.75, the second's 0.1 is held up to 0.2.
    assert torch.allclose(clamped[0], torch.tensor([[-0.75, 0.75, 0.5, 0.25]]))
    assert torch.equal(clamped[1], clean[1])


SPREAD, MEAN = 0.5, 1.5


def gaussian(x: torch.Tensor, step: int) -> torch.Tensor:
    """The best estimate of clean motion that is drawn from a normal distribution."""
    bar = cosine_schedule(50).alpha_bars[step]
    noisy = bar.sqrt() * MEAN
    return MEAN + bar.sqrt() * SPREAD**2 / (bar * SPREAD**2 + 1 - bar) * (x - noisy)


def solved(x: torch.Tensor) -> torch.Tensor:
    """Where the noiseless way from x ends, in closed form: it keeps its distance in standard deviations."""
    bar = cosine_schedule(50).alpha_bars[50]
    return MEAN + SPREAD * (x - bar.sqrt() * MEAN) / (bar * SPREAD**2 + 1 - bar).sqrt()


def test_the_full_sampler_draws_from_the_distribution():
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(1, 4000, 2, generator=generator)
    *_, sample = full_steps(gaussian, cosine_schedule(50), start, lambda s: torch.randn(s, generator=generator))
    assert abs(sample.mean() - MEAN) < 0.02
    assert 0.8 * SPREAD < sample.std() < 1.1 * SPREAD


def test_the_fast_sampler_nears_the_exact_answer():
    start = torch.randn(1, 500, 2, generator=torch.Generator().manual_seed(0))
    away = {}
    for steps in (1, 5, 8, 10):
        *_, sample = fast_steps(gaussian, cosine_schedule(50), start, steps)
        away[steps] = float((sample - solved(start)).square().mean().sqrt()) / SPREAD
    assert away[1] > 0.5
    assert max(away[5], away[8], away[10]) < 0.05


@pytest.mark.parametrize("steps", [1, 5, 10, 50])
def test_the_fast_sampler_asks_the_network_once_per_step(steps):
    asked = []
    list(fast_steps(lambda x, step: asked.append(step) or x, cosine_schedule(50), torch.ones(1, 2, 2), steps))
    assert len(asked) == steps
    assert asked[0] == 50
    assert asked == sorted(set(asked), reverse=True)
    assert steps == 1 or asked[-1] == 1


@pytest.mark.slow
def test_the_fast_sampler_ends_near_the_full_one():
    """On stand-in weights of the real size and the same initial noise; in standard deviations of the sample."""
    net = model("v2", slim=True)
    audio = torch.randn(1, 100, 256, generator=torch.Generator().manual_seed(9))
    context = Context(audio, net.start_motion_feat, net.start_audio_feat)

    def drawn(num_steps: int | None) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        start = torch.randn(1, 100, 73, generator=generator)
        rules = GenerationRules(num_steps=num_steps)
        with torch.inference_mode():
            *_, sample = net.sample(context, start, lambda s: torch.randn(s, generator=generator), rules)
        return sample

    full = drawn(None)
    for steps, limit in ((5, 0.03), (8, 0.01), (10, 0.008)):
        assert (drawn(steps) - full).square().mean().sqrt() / full.std() < limit
