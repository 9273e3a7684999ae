"""Live: sound in chunks, pictures out, through the networks that ship."""

import queue
import threading

import numpy as np
import pytest
import torch
from drawn_face import drawn_face
from fake_models import fake_models

import talkinghead
from audio2motion.streaming import AHEAD
from talkinghead import CropOptions, Options, RenderOptions
from talkinghead.errors import AudioError, OptionError
from talkinghead.models import load_models
from talkinghead.realtime.sound import to_voice
from talkinghead.realtime.stream import speak_live, stream
from talkinghead.source.image import open_image_source

CROP = Options(crop=CropOptions(face_only=True, size=64))


@pytest.fixture(scope="module")
def models():
    return load_models("mini", "cpu")


@pytest.fixture(scope="module")
def voice():
    time = np.arange(9_600) / 16_000
    noise = np.random.default_rng(0).normal(0, 0.2, len(time))
    return (noise * np.sin(8 * np.pi * time) ** 2).astype(np.float32)


def chunked(sound, size):
    return [sound[start : start + size] for start in range(0, len(sound), size)]


def test_pictures_come_while_the_sound_is_spoken(models, voice):
    given = []

    def spoken():
        for chunk in chunked(voice, 640):
            given.append(chunk)
            yield chunk

    pictures = stream(drawn_face(256), spoken(), options=CROP, model=models)
    assert given == []
    first = next(pictures)
    assert first.shape == (64, 64, 3) and first.dtype == np.uint8
    assert len(given) == 1 + AHEAD
    assert 1 + len(list(pictures)) == 15


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


def test_other_rates_and_types_give_the_same_motion(voice):
    whole = torch.cat(list(to_voice([voice], 16_000)))
    assert torch.equal(whole, torch.from_numpy(voice))
    assert torch.equal(whole, torch.cat(list(to_voice(voice, 16_000))))
    integers = torch.cat(list(to_voice([(voice * 32767).astype(np.int16)], 16_000)))
    torch.testing.assert_close(integers, whole, atol=2e-4, rtol=0)
    tone = np.sin(2 * np.pi * 200 * np.arange(48_000) / 48_000).astype(np.float32)
    parts = [torch.cat(list(to_voice(chunked(tone, size), 48_000))) for size in (480, 10_001)]
    assert abs(len(parts[0]) - 16_000) < 100
    torch.testing.assert_close(parts[0], parts[1])


def converted(*chunks, rate=16_000):
    return torch.cat([torch.zeros(0), *to_voice(chunks, rate)])


def test_whole_numbers_are_scaled_as_in_wav_files():
    whole = torch.tensor([-1.0, 0.0, 0.5])
    assert torch.equal(converted(np.array([-(2**31), 0, 2**30], np.int32)), whole)
    assert torch.equal(converted(np.array([0, 128, 192], np.uint8)), whole)
    assert torch.equal(converted(whole.bfloat16()), whole)


def test_one_channel_may_have_an_axis_and_chunks_may_be_empty():
    sound = np.linspace(-1, 1, 1_000, dtype=np.float32)
    parts = sound[:400, None], sound[400:400], sound[None, 400:]
    assert torch.equal(converted(*parts), torch.from_numpy(sound))
    assert len(converted(rate=44_100.0)) == len(converted(sound[:0], rate=44_100)) == 0


def test_a_queue_of_arrays_is_read_until_none_comes():
    waiting, sound = queue.Queue(), np.ones(1_500, np.float32)
    for chunk in (*chunked(sound, 640), None, sound):
        waiting.put(chunk)
    assert torch.equal(torch.cat(list(to_voice(waiting, 16_000))), torch.from_numpy(sound))


def test_a_long_chunk_is_animated_in_pieces(models):
    noise = np.random.default_rng(0).normal(0, 0.1, 60 * 16_000).astype(np.float32)
    given = []
    pieces = (given.append(piece) or piece for piece in to_voice([noise], 16_000))
    source = open_image_source(drawn_face(256), "a face", models, CROP.crop)
    next(speak_live(source, pieces, models, CROP))
    assert len(given) == 1 + AHEAD


def test_an_error_in_the_sound_reaches_the_caller_and_no_thread_stays(models, voice):
    def spoken():
        yield voice[:3_840]
        raise ConnectionError("hung up")

    list(stream(drawn_face(256), [voice[:640]], options=CROP, model=models))
    before = threading.active_count()
    with pytest.raises(ConnectionError, match="hung up"):
        list(stream(drawn_face(256), spoken(), options=CROP, model=models))
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("chunk", "reason"),
    [
        (np.zeros((2, 3), np.float32), r"shape \(2, 3\)"),
        (np.float32(0.0), r"shape \(\)"),
        (None, r"shape \(\)"),
        (b"\0\0", "shape"),
        (np.zeros(3, np.int64), "in int64"),
        (np.array(["a"]), "in <U1"),
        (np.array([0.0, np.nan], np.float32), "up to nan"),
        (np.array([np.inf], np.float64), "up to inf"),
        (np.array([-1e38], np.float32), r"up to 1e\+38"),
        (torch.tensor([1e300], dtype=torch.float64), "up to inf"),
    ],
)
def test_what_is_no_sound_is_refused(chunk, reason):
    with pytest.raises(AudioError, match=reason):
        converted(chunk)
    with pytest.raises(AudioError, match=reason):
        converted(chunk, rate=48_000)


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), 10**12, 16_000.5, "fast", None])
def test_rates_that_are_none_are_refused_at_once(rate):
    with pytest.raises(AudioError, match="samples a second"):
        stream(drawn_face(64), [], rate)


def test_what_cannot_be_streamed_says_so():
    with pytest.raises(AudioError, match="give chunks of samples"):
        to_voice(5, 16_000)  # type: ignore[arg-type]
    models = fake_models()
    models.voice.num_keypoints = 21  # as JoyVASA's, which needs seconds of sound at once
    with pytest.raises(OptionError, match="cannot speak live"):
        speak_live(None, [], models, Options())  # type: ignore[arg-type]
