"""Several sounds in one: their times, volumes and lengths."""

from fractions import Fraction

import numpy as np
import pytest
import soundfile

from talkinghead.media.audio import probe_sound, stream_frames
from talkinghead.media.mix import Layer, mix

RATE = 16_000


def sound(file, level, seconds, channels=1):
    soundfile.write(file, np.full((int(seconds * RATE), channels), level), RATE, subtype="FLOAT")
    return probe_sound(file)


def samples(mixed):
    return np.concatenate([frame.to_ndarray() for frame in stream_frames(mixed, mixed.rate)], 1)


def test_a_voice_over_a_quiet_background(tmp_path):
    voice, own = sound(tmp_path / "v.wav", 0.5, 1.0), sound(tmp_path / "o.wav", 0.2, 4.0)
    mixed = mix([Layer(voice, Fraction(1)), Layer(own, volume=0.5, ducked=((1.0, 2.0),))], Fraction(3))
    heard = samples(mixed)[0]
    assert len(heard) == 3 * RATE and mixed.seconds == 3 and mixed.file == voice.file
    assert heard[RATE // 2] == pytest.approx(0.2, abs=1e-3)
    assert heard[3 * RATE // 2] == pytest.approx(0.6, abs=1e-3)
    assert heard[5 * RATE // 2] == pytest.approx(0.2, abs=1e-3)
    assert np.abs(np.diff(heard[: RATE - 10])).max() < 1e-3  # the volume changes smoothly


def test_a_background_that_is_too_short_repeats(tmp_path):
    voice, own = sound(tmp_path / "v.wav", 0.1, 2.0), sound(tmp_path / "o.wav", 0.2, 0.3)
    heard = samples(mix([Layer(voice), Layer(own, repeats=True)], Fraction(2)))[0]
    assert heard[100:-100] == pytest.approx(0.3, abs=1e-2)


def test_two_voices_in_stereo_are_clipped(tmp_path):
    one, two = sound(tmp_path / "a.wav", 0.7, 1.0, channels=2), sound(tmp_path / "b.wav", 0.7, 0.5)
    mixed = mix([Layer(one), Layer(two)], Fraction(1))
    heard = samples(mixed)
    assert heard.shape == (2, RATE) and heard.max() == 1.0
    assert heard[:, -100:] == pytest.approx(0.7, abs=1e-2)
