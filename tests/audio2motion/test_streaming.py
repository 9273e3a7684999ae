"""Motion generated while speech arrives: bounded look-ahead, independent of chunks, close to the offline motion."""

import math

import pytest
import torch

from audio2motion import AudioToMotion
from audio2motion.streaming import AHEAD, HOP
from liveportrait.motion import SpeechMotion

FIELDS = tuple(SpeechMotion.__dataclass_fields__)


def live(model, sound, size, seed=0):
    stream = model.streaming(seed=seed)
    parts = [part for chunk in sound.split(size) for part in stream.push(chunk)] + stream.finish()
    return {name: torch.cat([getattr(part, name) for part in parts]) for name in FIELDS}


@pytest.mark.parametrize("samples", [1, 640, 7 * 640, 7 * 640 + 1, 40_000])
def test_every_sample_is_covered_by_a_frame(tiny, samples):
    assert len(live(tiny, 0.1 * torch.randn(samples), 1_000)["lip_ratio"]) == math.ceil(samples / 640)


@pytest.mark.parametrize("size", [100, 640, 7_777])
def test_chunks_do_not_change_the_motion(tiny, voice, size):
    sound = voice(3.3)
    whole, parts = live(tiny, sound, 10**9, seed=4), live(tiny, sound, size, seed=4)
    assert all(torch.equal(whole[name], parts[name]) for name in FIELDS)


def test_a_frame_is_shown_200_ms_after_it_was_spoken(tiny, voice):
    stream, shown = tiny.streaming(), 0
    for pushed, chunk in enumerate(voice(2.0).split(640), 1):
        shown += sum(map(len, stream.push(chunk)))
        assert pushed - AHEAD - HOP < shown <= pushed - AHEAD or shown == 0
        assert pushed != AHEAD + 1 or shown == 1  # the first frame does not wait for those after it
    assert (HOP - 1 + AHEAD) * 0.04 <= 0.2
    assert shown + sum(map(len, stream.finish())) == 50


def test_what_is_said_later_changes_nothing_that_was_shown(tiny, voice):
    first, second = voice(2.0), voice(2.0, seed=1)
    second[: 30 * 640] = first[: 30 * 640]
    one, other = (live(tiny, sound, 640) for sound in (first, second))
    shown = 30 - AHEAD - HOP + 1
    assert torch.equal(one["lip_ratio"][:shown], other["lip_ratio"][:shown])
    assert not torch.equal(one["lip_ratio"], other["lip_ratio"])


def test_silence_has_closed_lips_and_idle_motion(tiny):
    speech_motion = live(tiny, torch.zeros(100_000), 3_200, seed=3)
    assert (speech_motion["lip_ratio"] == 0).all()
    assert speech_motion["rotation"].std(0).max() > 1e-3


def test_an_empty_stream_has_no_motion_and_an_ended_one_is_refused(tiny):
    stream = tiny.streaming()
    assert stream.push(torch.zeros(0)) == []
    assert stream.finish() == []
    with pytest.raises(ValueError, match="ended"):
        stream.push(torch.zeros(640))
    with pytest.raises(ValueError, match="shape"):
        tiny.streaming().push(torch.zeros(2, 640))


def test_it_is_close_to_the_offline_motion(voice):
    """The stated tolerance, with the weights that ship; on real speech see docs/audio_model.md."""
    model, sound = AudioToMotion.from_pretrained(), voice(3.0)
    offline, streamed = model.generate(sound), live(model, sound, 1_600)
    assert (streamed["lip_ratio"] - offline.lip_ratio).abs().mean() < 0.06
    assert torch.allclose(streamed["gaze_deg"], offline.gaze_deg, atol=3.0)
