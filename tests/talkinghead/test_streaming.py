"""Live: sound in chunks, pictures out, through the networks that ship."""

import numpy as np
import pytest
import torch
from drawn_face import drawn_face
from fake_models import fake_models

import talkinghead
from talkinghead import CropOptions, Options, RenderOptions
from talkinghead.errors import AudioError, OptionError
from talkinghead.models import load_models
from talkinghead.streaming import speak_live, stream, to_voice

CROP = Options(crop=CropOptions(crop=True, size=64))


@pytest.fixture(scope="module")
def models():
    return load_models("mini", "cpu")


@pytest.fixture(scope="module")
def voice():
    time = np.arange(16_000) / 16_000
    noise = np.random.default_rng(0).normal(0, 0.2, len(time))
    return (noise * np.sin(8 * np.pi * time) ** 2).astype(np.float32)


def chunked(sound, size):
    return [sound[start : start + size] for start in range(0, len(sound), size)]


def test_pictures_come_while_the_sound_is_spoken(models, voice):
    heard = []

    def spoken():
        for chunk in chunked(voice, 640):
            heard.append(chunk)
            yield chunk

    pictures = stream(drawn_face(256), spoken(), options=CROP, model=models)
    assert heard == []
    first = next(pictures)
    assert first.shape == (64, 64, 3) and first.dtype == np.uint8
    assert len(heard) == 6
    assert 1 + len(list(pictures)) == 25


def test_chunks_do_not_change_the_pictures(models, voice):
    one, other = (
        np.stack(list(stream(drawn_face(256), chunked(voice[:8_000], size), options=CROP, model=models)))
        for size in (250, 5_000)
    )
    assert np.array_equal(one, other)


def test_another_frame_rate_lasts_as_long(models, voice):
    options = Options(crop=CROP.crop, render=RenderOptions(fps="50"))
    assert len(list(stream(drawn_face(256), chunked(voice[:6_400], 640), options=options, model=models))) == 20


def test_it_is_exported(models):
    assert talkinghead.stream is stream


def test_other_rates_and_types_are_heard_alike(voice):
    whole = torch.cat(list(to_voice([voice], 16_000)))
    assert torch.equal(whole, torch.from_numpy(voice))
    integers = torch.cat(list(to_voice([(voice * 32767).astype(np.int16)], 16_000)))
    torch.testing.assert_close(integers, whole, atol=2e-4, rtol=0)
    tone = np.sin(2 * np.pi * 200 * np.arange(48_000) / 48_000).astype(np.float32)
    parts = [torch.cat(list(to_voice(chunked(tone, size), 48_000))) for size in (480, 10_001)]
    assert abs(len(parts[0]) - 16_000) < 100
    torch.testing.assert_close(parts[0], parts[1])


def test_what_cannot_be_heard_says_so(models):
    with pytest.raises(AudioError, match=r"shape \(2, 3\)"):
        list(to_voice([np.zeros((2, 3), np.float32)], 16_000))
    with pytest.raises(OptionError, match="cannot speak live"):
        speak_live(None, [], fake_models(), Options())  # type: ignore[arg-type]
