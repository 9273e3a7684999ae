"""What is left of a sound in the written file."""

import av
import numpy as np
import pytest
import soundfile

from talkinghead.media.audio import probe_sound, stream_mono
from talkinghead.media.soundtrack import SoundTrack


@pytest.mark.parametrize(("codec", "suffix"), [("aac", ".mp4"), ("libopus", ".webm")])
def test_high_and_low_tones_are_kept(tmp_path, codec, suffix):
    """Seven tones from 0.3 to 12 kHz, which a voice's vowels and hisses span, keep their levels."""
    rate, tones = 48_000, (300, 700, 1500, 3000, 6000, 9000, 12_000)
    seconds = np.arange(rate) / rate
    sound = sum(0.1 * np.sin(2 * np.pi * tone * seconds) for tone in tones)
    soundfile.write(tmp_path / "a.wav", sound + 0.02 * np.random.default_rng(0).standard_normal(rate), rate)
    with av.open(str(tmp_path / f"a{suffix}"), "w") as container:
        SoundTrack(container, probe_sound(tmp_path / "a.wav"), codec).finish()
    samples = np.concatenate(list(stream_mono(tmp_path / f"a{suffix}", rate)))[rate // 4 : 3 * rate // 4]
    spectrum = np.abs(np.fft.rfft(samples)) / (len(samples) / 2)
    levels = [spectrum[tone // 2 - 2 : tone // 2 + 3].max() for tone in tones]
    assert levels == pytest.approx([0.1] * len(tones), rel=0.15)
