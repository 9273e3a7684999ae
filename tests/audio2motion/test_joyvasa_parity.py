"""The motion generator against the reference's numbers, through the real loader on files in upstream's layout."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import islice

import pytest
import torch
from joyvasa_reference import checkpoint_index, golden, model
from torch import nn
from torch.nn import functional as F

from audio2motion.joyvasa.config import GenerationRules
from audio2motion.joyvasa.denoiser import sinusoids
from audio2motion.joyvasa.model import Context
from audio2motion.joyvasa.sampler import cosine_schedule
from audio2motion.joyvasa.speech_features import pad_window
from audio2motion.joyvasa.template import GeneratedPose, average
from audio2motion.joyvasa.weights import RELEASES
from audio2motion.joyvasa.windows import cut_windows, plan_windows
from liveportrait.keypoints import rotation_matrix

DENOISER, SAMPLE, HEARING = 3e-5, 1e-4, 5e-5
# Float32 angles up to 600 rad: one rounding of the rate already moves a sine by 3.6e-5.
TABLE = 4e-5
CASES = list(golden().cases)
# The reference was recorded with one position for each frame, whatever the weights were trained with.
ROWS = GenerationRules(constant_position=False)
SAMPLERS = {
    "cfg2.8": replace(ROWS, guidance=2.8),
    "independent2.8": replace(ROWS, guidance=2.8),
    "cfg1.15": replace(ROWS, guidance=1.15),
    "nocfg": replace(ROWS, guidance=1.0),
    "flex0.5": replace(ROWS, guidance=1.15, flexibility=0.5),
    "threshold": replace(ROWS, guidance=2.8, dynamic_threshold=(0.9, 0.5, 2.0)),
}


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.inference_mode():
        yield


def queue(*values):
    """Noise that was drawn beforehand."""
    waiting = iter([row for value in values for row in value])
    return lambda shape: next(waiting).reshape(shape)


def states(release: str, rules: GenerationRules):
    data, generator = golden(), model(release, slim=True)
    context = Context(data.input(f"{release}/audio")[:1], generator.start_motion_feat, generator.start_audio_feat)
    return generator.sample(context, data.input(f"{release}/x_T"), queue(data.input(f"{release}/z")), rules)


def test_schedule_and_tables():
    for name, value in vars(cosine_schedule(50)).items():
        assert golden().difference(f"schedule/{name}", value) < 1e-6, name
    assert golden().difference("schedule/TE.pe", sinusoids(501, 256)[None]) < TABLE
    assert golden().difference("schedule/PE.pe", sinusoids(600, 256)[None]) < TABLE


def test_the_published_hashes_are_the_reference_s():
    for release, files in RELEASES.items():
        assert files[0].sha256 == checkpoint_index()[release]["sha256"]
        assert files[0].size == checkpoint_index()[release]["bytes"]


def test_windows_are_padded_for_the_encoder():
    wave = golden().input("audio/wave")
    padded = pad_window(wave)
    assert golden().difference("audio/padded", padded) == 0
    assert golden().difference("audio/padded_head", padded[:, :80]) == 0
    assert golden().difference("audio/padded_tail", padded[:, -80:]) == 0
    for length in (63877, 640, 642, 1000):
        assert golden().difference(f"audio/padded_{length}", pad_window(wave[:1, :length])) == 0


@pytest.mark.parametrize("release", ["v1", "v2"])
def test_audio_features(release):
    pairs = F.avg_pool1d(golden().input("audio/hidden").transpose(1, 2), 2).transpose(1, 2)
    assert golden().difference(f"{release}/audio_feat", model(release, slim=True).features(pairs)) < HEARING


@pytest.mark.parametrize("release", ["v1", "v2"])
def test_denoiser(release):
    data, generator = golden(), model(release, slim=True)
    motion, audio, previous_motion, previous_audio = (
        data.input(f"{release}/{name}") for name in ("motion", "audio", "prev_motion", "prev_audio")
    )
    net = partial(generator.denoising_net, constant_position=False)
    answer = net(motion, audio, previous_motion, previous_audio, torch.tensor([1, 50]))
    assert data.difference(f"{release}/denoise/t1_t50", answer) < DENOISER
    start = generator.start_motion_feat.expand(2, -1, -1), generator.start_audio_feat.expand(2, -1, -1)
    answer = net(motion, audio, *start, torch.tensor([25, 7]))
    assert data.difference(f"{release}/denoise/start_t25_t7", answer) < DENOISER
    deaf = generator.null_audio_feat.expand(1, 100, -1)
    answer = net(motion[:1], deaf, previous_motion[:1], previous_audio[:1], torch.tensor([33]))
    assert data.difference(f"{release}/denoise/null_t33", answer) < DENOISER


def plain_denoiser(net, motion, audio, previous_motion, previous_audio, steps, position):
    """The denoiser of PyTorch's own layers, with given position encodings, shape (1 or frames, size)."""
    size = audio.shape[2]
    layers = [nn.TransformerDecoderLayer(size, 8, 1024, 0.0, "gelu", batch_first=True) for _ in range(8)]
    x = net.feature_proj(torch.cat([previous_motion, motion], 1)) + position
    x = x + net.diff_step_map(sinusoids(501, size)[steps])[:, None]
    memory, mask = torch.cat([previous_audio, audio], 1), ~torch.eye(x.shape[1], dtype=torch.bool)
    for layer, own in zip(layers, net.transformer.layers, strict=True):
        layer.load_state_dict(own.state_dict())
        x = layer.eval()(x, memory, memory_mask=mask)
    return net.motion_dec(x)


@pytest.mark.parametrize("release", ["v1", "v2"])
def test_the_denoiser_with_either_position_encoding(release):
    """PyTorch's layers give the reference's numbers with one position a frame, and check the constant one."""
    data, net = golden(), model(release, slim=True).denoising_net
    inputs = [data.input(f"{release}/{name}") for name in ("motion", "audio", "prev_motion", "prev_audio")]
    steps, frames = torch.tensor([1, 50]), 100 + inputs[2].shape[1]
    table = sinusoids(600, 256)
    rows = plain_denoiser(net, *inputs, steps, table[:frames])
    assert data.difference(f"{release}/denoise/t1_t50", rows) < DENOISER
    constant = plain_denoiser(net, *inputs, steps, table[frames])
    torch.testing.assert_close(net(*inputs, steps, constant_position=True), constant, atol=DENOISER, rtol=0)
    assert (constant - rows).abs().max() > 0.1
    assert torch.equal(net(*inputs, steps), net(*inputs, steps, constant_position=release == "v1"))


@pytest.mark.parametrize("release", ["v1", "v2"])
def test_each_frame_depends_on_its_own_moment_only(release):
    """What lets the denoiser do without cross-attention: the reference masks everything but the diagonal."""
    frames = 100 + model(release, slim=True).config.num_previous
    mask = (~torch.eye(frames, dtype=torch.bool)).to(torch.uint8)
    assert golden().difference(f"{release}/alignment_mask", mask) == 0


@pytest.mark.parametrize(("release", "steps"), [("v1", (49,)), ("v2", (49, 40))])
def test_first_steps_of_the_full_sampler(release, steps):
    reached = list(islice(states(release, SAMPLERS["cfg2.8"]), 50 - steps[-1]))
    for step in steps:
        assert golden().difference(f"{release}/sample/cfg2.8/x{step}", reached[49 - step]) < SAMPLE


@pytest.mark.slow
@pytest.mark.parametrize("release", ["v1", "v2"])
@pytest.mark.parametrize("name", SAMPLERS)
def test_full_sampler(release, name):
    reached = list(states(release, SAMPLERS[name]))
    assert golden().difference(f"{release}/sample/{name}/x0", reached[-1]) < SAMPLE
    if name != "cfg2.8":
        return
    for step in (49, 40, 25, 10, 1):
        assert golden().difference(f"{release}/sample/{name}/x{step}", reached[49 - step]) < SAMPLE


@pytest.mark.slow
@pytest.mark.parametrize("release", ["v1", "v2"])
def test_second_window_continues_the_first(release):
    data, generator = golden(), model(release, slim=True)
    audio, previous = data.input(f"{release}/audio"), generator.config.num_previous
    first = list(states(release, SAMPLERS["cfg2.8"]))[-1]
    context = Context(audio[1:], first[:, -previous:], audio[:1, -previous:])
    noise = queue(data.input(f"{release}/z_second"))
    second = list(generator.sample(context, data.input(f"{release}/x_T"), noise, SAMPLERS["cfg2.8"]))[-1]
    assert data.difference(f"{release}/sample/second_window/x0", second) < SAMPLE


@pytest.mark.slow
def test_speech_encoder():
    wave, generator = golden().input("audio/wave"), model("v2", slim=False)
    sound = generator.audio_encoder.feature_extractor(pad_window(wave))
    assert golden().difference("audio/hubert/conv", sound) < HEARING
    hidden = generator.audio_encoder(pad_window(wave)).last_hidden_state
    assert golden().difference("audio/hubert/hidden", hidden) < HEARING
    assert golden().difference("audio/hubert/audio_feat", generator.encode_audio(wave)) < HEARING


@pytest.mark.parametrize("name", CASES)
def test_recordings_are_cut_into_windows(name):
    case, wave = golden().cases[name], golden().input(f"{name}/wave")
    plan = plan_windows(len(wave), 100, 0, trim_lead=False)
    assert (plan.num_windows, plan.first_frame, plan.end_frame) == (case["n_windows"], 0, case["n_frames"])
    windows = torch.cat(list(cut_windows(wave, plan, 100)))
    assert golden().difference(f"{name}/audio_windows", windows) == 0


@pytest.mark.parametrize("name", CASES)
def test_generated_motion_is_smoothed(name):
    plain = {part: golden().output(f"{name}/plain/{part}") for part in ("scale", "t", "pitch", "yaw", "roll")}
    smooth = {part: average(value, 0.01) for part, value in plain.items()}
    for part, value in smooth.items():
        assert golden().difference(f"{name}/smooth/{part}", value) < 1e-5
    for kind, angles in (("plain", plain), ("smooth", smooth)):
        rotation = rotation_matrix(angles["pitch"], angles["yaw"], angles["roll"])
        assert golden().difference(f"{name}/{kind}/R", rotation) < 2e-6


@pytest.fixture(scope="module")
def three_windows() -> torch.Tensor:
    """Three windows in a row on given features; the shorter cases are their beginnings."""
    data, generator = golden(), model("v2", slim=True)
    with torch.inference_mode():
        noise = queue(data.input("windows/x_T")[None], data.input("windows/z"))
        return generator.generate_normalized(data.input("windows/audio_feat"), noise, GenerationRules.upstream())[0]


def close_pose(name: str, pose: GeneratedPose) -> None:
    named = dict(zip(("exp", "scale", "t", "pitch", "yaw", "roll"), pose, strict=True), R=pose.motion().rotation)
    for part, value in named.items():
        if name.endswith("smooth") and part == "exp":
            continue
        # Angles span 40 degrees where the sample spans 1.
        limit = 40 * SAMPLE if part in ("pitch", "yaw", "roll") else SAMPLE
        assert golden().difference(f"{name}/{part}", value) < limit, part


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_motion_of_consecutive_windows(name, three_windows):
    numbers = three_windows[: golden().cases[name]["n_frames"]]
    pose = model("v2", slim=True).template.denormalize(numbers)
    close_pose(f"{name}/plain", pose)
    close_pose(f"{name}/smooth", pose.smoothed())
