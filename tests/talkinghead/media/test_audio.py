"""Sound of every kind is streamed at 16 kHz; what is no sound is one clear line."""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile
import torch

from talkinghead.errors import AudioError, InputNotFoundError
from talkinghead.media.audio import probe_sound, stream_frames, stream_mono_16k


def tone(seconds, rate, hz=440.0, channels=1):
    wave = 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)
    return np.stack([wave] * channels, 1).astype(np.float32)


def samples_of(file):
    return torch.cat(list(stream_mono_16k(file)))


def loudest_hz(samples, rate=16_000):
    spectrum = np.abs(np.fft.rfft(np.asarray(samples) * np.hanning(len(samples))))
    return spectrum.argmax() * rate / len(samples)


@pytest.mark.parametrize(
    ("suffix", "rate", "channels"),
    [
        ("wav", 48_000, 2),
        ("wav", 8_000, 1),
        ("flac", 44_100, 2),
        ("mp3", 44_100, 1),
        ("ogg", 22_050, 2),
        ("aiff", 96_000, 1),
    ],
)
def test_any_format_rate_and_channels(tmp_path, suffix, rate, channels):
    file = tmp_path / f"a.{suffix}"
    soundfile.write(file, tone(1.5, rate, channels=channels), rate)
    sound = probe_sound(file)
    assert (sound.rate, sound.channels) == (rate, channels)
    assert abs(sound.seconds - Fraction(3, 2)) < 0.04  # lossy coders add part of a frame
    samples = samples_of(file)
    assert samples.dtype == torch.float32 and samples.ndim == 1
    assert abs(len(samples) - sound.seconds * 16_000) < 16
    assert loudest_hz(samples) == pytest.approx(440, abs=1)
    assert samples[2000:-2000].abs().max() == pytest.approx(0.5, abs=0.03)


def test_the_length_is_exact(tmp_path):
    soundfile.write(tmp_path / "a.flac", np.zeros(44_101, np.float32), 44_100)
    assert probe_sound(tmp_path / "a.flac").seconds == Fraction(44_101, 44_100)


def test_the_sound_of_a_video(tmp_path):
    file = tmp_path / "clip.mp4"
    with av.open(str(file), "w") as container:
        video, audio = container.add_stream("libx264", rate=25), container.add_stream("aac", rate=32_000, layout="mono")
        video.width = video.height = 64
        for _ in range(25):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")
            container.mux(video.encode(frame))
        frame = av.AudioFrame.from_ndarray(tone(1, 32_000).T.copy(), "fltp", "mono")
        frame.sample_rate = 32_000
        container.mux(audio.encode(frame))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    assert probe_sound(file).rate == 32_000
    assert loudest_hz(samples_of(file)) == pytest.approx(440, abs=1)


def test_above_8_khz_nothing_folds_back(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(1, 48_000, hz=11_000), 48_000)
    assert samples_of(tmp_path / "a.wav")[1000:-1000].abs().max() < 0.01


def test_channels_are_averaged(tmp_path):
    left_only = tone(1, 16_000, channels=2) * np.array([1, 0], np.float32)
    soundfile.write(tmp_path / "a.wav", left_only, 16_000)
    assert samples_of(tmp_path / "a.wav").abs().max() == pytest.approx(0.25, abs=0.01)


def test_frames_for_an_encoder_have_its_size(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(1, 16_000), 16_000)
    sizes = [frame.samples for frame in stream_frames(tmp_path / "a.wav", 16_000, "stereo", 1024)]
    assert set(sizes[:-1]) == {1024} and sum(sizes) == 16_000


def test_names_with_colons_are_names(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(0.1, 16_000), 16_000)
    (tmp_path / "a.wav").rename(tmp_path / "say: hello.wav")
    assert probe_sound(tmp_path / "say: hello.wav").num_samples == 1600


def test_a_damaged_packet_is_left_out(tmp_path):
    file = tmp_path / "a.mp3"
    soundfile.write(file, tone(4, 44_100), 44_100)
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 300] = b"\xff" * 300
    file.write_bytes(content)
    assert 3.5 < probe_sound(file).seconds < 4.1


def wrong(tmp_path, what):
    """Make one of the files that are no sound."""
    file = tmp_path / f"{what}.wav"
    bad = tone(0.2, 16_000)
    if what in {"nan", "inf"}:
        bad[1600] = float(what)
        soundfile.write(file, bad, 16_000, subtype="FLOAT")
    elif what == "zero length":
        soundfile.write(file, bad[:0], 16_000)
    elif what == "video without sound":
        file = tmp_path / "silent.mp4"
        with av.open(str(file), "w") as container:
            video = container.add_stream("libx264", rate=25)
            video.width = video.height = 64
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")))
            container.mux(video.encode(None))
    elif what == "folder":
        file.mkdir()
    elif what != "missing":
        file = file.with_suffix(".txt" if what == "text" else ".wav")
        file.write_bytes({"empty": b"", "text": b"no sound at all\n" * 99, "text as wav": b"no sound\n" * 99}[what])
    return file


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("empty", "empty"),
        ("text", "not a sound"),
        ("text as wav", "not a sound"),
        ("nan", "no numbers"),
        ("inf", "no numbers"),
        ("zero length", "zero length"),
        ("video without sound", "video without sound"),
        ("folder", "folder"),
        ("missing", "no such file"),
    ],
)
def test_what_is_no_sound_is_one_line(tmp_path, what, said):
    file = wrong(tmp_path, what)
    with pytest.raises(InputNotFoundError if what == "missing" else AudioError) as caught:
        probe_sound(file)
    message = str(caught.value)
    assert said in message and str(file) in message and "\n" not in message


def test_a_picture_is_no_sound(tmp_path):
    from PIL import Image

    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    with pytest.raises(AudioError, match="not a sound"):
        probe_sound(tmp_path / "a.png")


def voice(seconds=1.0, rate=16_000):
    return (0.4 * np.sin(2 * np.pi * 300 * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_channels_that_cancel_each_other_are_not_averaged(tmp_path, noise):
    said = voice()
    ambience = np.random.default_rng(0).normal(0, noise, len(said)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", np.stack([said + ambience, -said + ambience], 1), 16_000)
    sound = probe_sound(tmp_path / "a.wav")
    samples = torch.cat(list(stream_mono_16k(sound))).numpy()
    assert np.abs(samples - said).max() < 5 * noise + 1e-3
    rest = torch.cat(list(stream_mono_16k(sound.part(Fraction(1, 2), Fraction(1, 4))))).numpy()
    assert np.array_equal(rest, samples[8000:12000])


@pytest.mark.parametrize("right", [1.0, 0.3, 0.0])
def test_other_channels_are_averaged(tmp_path, right):
    soundfile.write(tmp_path / "a.wav", np.stack([voice(), right * voice()], 1), 16_000)
    assert probe_sound(tmp_path / "a.wav").voice is None


def wav(file, samples, rate, *, kind=1):
    """Write a wav with a header of any rate and number of channels; samples have the shape (N, channels)."""
    num_channels, size = samples.shape[1], samples.dtype.itemsize
    form = struct.pack(
        "<HHIIHH", kind, num_channels, rate, rate * num_channels * size % 2**32, num_channels * size, 8 * size
    )
    data = samples.tobytes()
    parts = [b"WAVEfmt ", struct.pack("<I", len(form)), form, b"data", struct.pack("<I", len(data)), data]
    file.write_bytes(b"RIFF" + struct.pack("<I", sum(map(len, parts))) + b"".join(parts))
    return file


@pytest.mark.parametrize(
    ("num_channels", "dtype"),
    [
        *((2, np.int64), (7, np.int16), (9, np.int16), (9, np.uint8), (9, np.int32), (9, np.int64), (9, np.float32)),
        *((64, np.int16), (255, np.int16)),
    ],
)
def test_many_channels_are_mixed_down(tmp_path, num_channels, dtype):
    said = voice(0.25)[:, None].repeat(num_channels, 1)
    scale = {np.int16: 2**15, np.int32: 2**31, np.int64: 2**63, np.uint8: 2**7, np.float32: 1}[dtype]
    samples = (said * scale + (128 if dtype == np.uint8 else 0)).astype(dtype)
    sound = probe_sound(wav(tmp_path / "a.wav", samples, 16_000, kind=3 if dtype == np.float32 else 1))
    assert sound.channels == (num_channels if num_channels < 8 else 1) and sound.num_samples == 4000
    samples = torch.cat(list(stream_mono_16k(sound))).numpy()
    assert np.abs(samples - voice(0.25)).max() < 0.02


@pytest.mark.parametrize("rate", [1, 7, 999, 100_000_000, 2**31 - 1])
def test_rates_that_no_sound_has(tmp_path, rate):
    with pytest.raises(AudioError, match="samples a second"):
        probe_sound(wav(tmp_path / "a.wav", np.ones((20_000, 1), np.int16), rate))


@pytest.mark.parametrize(("rate", "count"), [(24_000, 1), (192_000, 2), (16_000, 100)])
def test_a_sound_that_is_too_short(tmp_path, rate, count):
    with pytest.raises(AudioError, match="too short"):
        probe_sound(wav(tmp_path / "a.wav", np.ones((count, 1), np.int16), rate))


@pytest.mark.parametrize(("value", "dtype"), [(3e38, np.float32), (1e30, np.float32), (-1e300, np.float64)])
@pytest.mark.parametrize("num_channels", [1, 2, 9])
def test_samples_far_beyond_full_scale(tmp_path, value, dtype, num_channels):
    samples = np.zeros((16_000, num_channels), dtype)
    samples[8000] = value
    with pytest.raises(AudioError, match=r"at 0\.\d+ s; export it again"):
        probe_sound(wav(tmp_path / "a.wav", samples, 16_000, kind=3))


def test_samples_a_little_beyond_full_scale_pass(tmp_path):
    soundfile.write(tmp_path / "a.wav", 3 * voice(), 16_000, subtype="FLOAT")
    assert samples_of(tmp_path / "a.wav").max() == pytest.approx(1.2, abs=0.01)


def paused(file, pauses, rate=16_000):
    """Write a tenth of a second of tone after each of the given pauses, in seconds."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate, layout="mono")
        at = 0
        for pause in pauses:
            at += round(pause * rate)
            samples = (voice(0.1) * 2**15).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            container.mux(stream.encode(frame))
            at += samples.shape[1]
        container.mux(stream.encode(None))
    return file


def test_pauses_of_a_stream_become_silence(tmp_path):
    sound = probe_sound(paused(tmp_path / "a.mkv", [0, 0, 1.5, 0.05]))
    assert sound.seconds == pytest.approx(1.9, abs=0.06)
    samples = samples_of(sound.file)
    assert samples[3500:27_000].abs().max() < 0.01 and samples[27_500:28_500].abs().max() > 0.3


def test_a_leap_of_hours_is_no_silence(tmp_path):
    assert probe_sound(paused(tmp_path / "a.mkv", [0, 0, 30 * 3600])).seconds == Fraction(3, 10)
