"""The weights that ship: there, small, and doing what the model card says."""

import pytest
import torch

from audio2motion import AudioToMotion
from audio2motion.idle import IdleMotion
from audio2motion.loudness import gain, voice_level
from audio2motion.silence import loudness_per_frame
from audio2motion.weights import EMBEDDED


@pytest.fixture(scope="module")
def model() -> AudioToMotion:
    return AudioToMotion.from_pretrained()


def test_they_are_small():
    assert (EMBEDDED / "mini" / "model.safetensors").stat().st_size < 30_000_000


def test_they_fit_the_face_model(model):
    assert model.config.num_mouth == 16
    assert model.config.num_brows == 6


def test_silence_has_closed_lips_and_idle_motion(model):
    speech_motion = model.generate(torch.zeros(20 * 16_000), seed=1)
    assert (speech_motion.lip_ratio < 0.02).all()
    assert speech_motion.eye_openness.min() < 0.2
    assert speech_motion.rotation.flatten(1).std(0).max() > 1e-3


def test_lips_close_in_the_pauses_of_a_quiet_room(model, voice):
    room = 10**-3.25 * torch.randn(32_000)
    ratio = model.generate(torch.cat([voice(2.0), room, voice(2.0)])).lip_ratio[:, 0]
    assert (ratio[56:94] < 0.02).all()


def test_music_without_a_voice_gives_finite_motion(model):
    time_axis = torch.arange(5 * 16_000) / 16_000
    chord = sum(torch.sin(2 * torch.pi * hz * time_axis) for hz in (220.0, 277.2, 329.6))
    speech_motion = model.generate(0.2 * chord)
    for tensor in (speech_motion.expression, speech_motion.lip_ratio, speech_motion.rotation):
        assert torch.isfinite(tensor).all()
    assert speech_motion.lip_ratio.max() < 1.0


def test_heads_stay_near_rest(model, voice):
    sound = voice(120.0)
    idle = IdleMotion(model.life_tracks, model.life_bounds, model.life_mirror, model.brow_lift, seed=5)
    motion = idle.next(loudness_per_frame(sound * gain(voice_level(sound))))
    turned = torch.rad2deg(torch.acos(((motion.rotation.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2).clamp(-1, 1)))
    assert turned.max() < 14
    assert 1 < turned.mean() < 5
    assert motion.translation.abs().max() < 0.2
