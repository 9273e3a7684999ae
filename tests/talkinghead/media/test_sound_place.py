"""Sound and picture that do not begin together stay where they were."""

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

import talkinghead
from talkinghead import CropOptions, DriveOptions, Options
from talkinghead.errors import AudioError
from talkinghead.media.audio import Sound, probe_sound, stream_mono, stream_part
from talkinghead.media.video import probe_placed_sound, probe_video, read_frames

RATE = 48_000
FLASH = Fraction(6, 5)
"""Seconds on a player's clock when a frame is bright and a burst begins."""


def clip(file, picture_from, sound_from, until=2):
    """Write a clip whose picture and sound begin at different times; both flash at the same time."""
    codec = "libopus" if file.suffix == ".webm" else "aac"
    with av.open(str(file), "w") as container:
        pictures = "libvpx-vp9" if file.suffix == ".webm" else "libx264"
        video = container.add_stream(pictures, rate=25, options={"crf": "10", "b": "0"})
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        sound = container.add_stream(codec, rate=RATE, layout="mono")
        for n in range(round(picture_from * 25), until * 25):
            level = 220 if n == FLASH * 25 else 100
            frame = av.VideoFrame.from_ndarray(np.full((240, 320, 3), level, np.uint8))
            frame.pts, frame.time_base = n, Fraction(1, 25)
            container.mux(video.encode(frame))
        for start in range(round(sound_from * RATE), until * RATE, 960):
            samples = np.zeros((1, 960), np.float32)
            samples[0] = 0.5 * np.sin(np.arange(960) * 0.4) * (FLASH <= Fraction(start, RATE) < FLASH + Fraction(1, 25))
            frame = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
            container.mux(sound.encode(frame))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    return file


def burst(sound):
    """Return when a sound is loud first, in seconds."""
    samples = np.concatenate(list(stream_mono(sound, RATE)))
    return np.flatnonzero(np.abs(samples) > 0.2)[0] / RATE


def flash(file):
    """Return when the first bright frame of a file is shown, in seconds since its first frame."""
    frames = [(frame.picture.mean(), frame.seconds) for frame in read_frames(file)]
    return float(next(seconds for level, seconds in frames if level > 180) - frames[0][1])


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize(("picture_from", "sound_from"), [(0, Fraction(4, 5)), (Fraction(3, 5), 0), (0, 0)])
def test_the_sound_of_a_video_keeps_its_time(tmp_path, suffix, picture_from, sound_from):
    file = clip(tmp_path / f"a{suffix}", picture_from, sound_from)
    assert flash(file) == pytest.approx(float(FLASH - picture_from), abs=0.001)
    assert burst(probe_placed_sound(file)) == pytest.approx(flash(file), abs=0.025)
    assert probe_placed_sound(file).seconds == pytest.approx(2 - picture_from, abs=0.06)


@pytest.mark.parametrize(
    ("picture_from", "sound_from", "trim"),
    [(0, Fraction(4, 5), None), (Fraction(1, 5), 0, None), (0, Fraction(4, 5), "0.4:"), (0, Fraction(4, 5), "1:1.5")],
)
def test_the_drivers_sound(tmp_path, video_models, picture_from, sound_from, trim):
    file = clip(tmp_path / "a.mp4", picture_from, sound_from)
    options = Options(CropOptions(face_only=True), drive=DriveOptions(**({"trim": trim} if trim else {})))
    picture = np.full((240, 320, 3), 90, np.uint8)
    made = talkinghead.reenact(picture, file, tmp_path / "o.mp4", options=options, model=video_models)
    expected = flash(file) - (float(trim.split(":")[0]) if trim else 0)
    assert flash(made.file) == pytest.approx(expected, abs=0.001)
    assert burst(probe_sound(made.file)) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("audio", ["auto", "self"])
def test_the_sources_sound(tmp_path, video_models, audio):
    file = clip(tmp_path / "a.mkv", 0, Fraction(4, 5))
    options = Options(CropOptions(face_only=True), drive=DriveOptions(audio=str(file) if audio == "self" else audio))
    Image.fromarray(np.full((240, 320, 3), 120, np.uint8)).save(tmp_path / "d.png")
    video = talkinghead.reenact(file, tmp_path / "d.png", options=options, model=video_models)
    assert burst(video.sound) == pytest.approx(float(FLASH), abs=0.025)


def test_a_voice_begins_at_once(tmp_path):
    """Where the picture is not shown there is nothing to wait for."""
    file = clip(tmp_path / "a.mp4", 0, Fraction(4, 5))
    assert burst(probe_sound(file)) == pytest.approx(float(FLASH) - 0.8, abs=0.025)


def test_silence_comes_in_every_layout_and_part(tmp_path):
    file = clip(tmp_path / "a.mp4", 0, Fraction(4, 5))
    placed = probe_sound(file).starting_at(probe_video(file).begins)
    for sound, length in ((placed, placed.seconds), (placed.part(Fraction(1, 2), Fraction(1)), 1)):
        frames = list(stream_part(sound, 16_000, "stereo", 1024))
        assert sum(frame.samples for frame in frames) == pytest.approx(float(length) * 16_000, abs=20)
        assert {frame.layout.name for frame in frames} == {"stereo"}
    silent = placed.part(Fraction(0), Fraction(1, 2))
    assert np.abs(np.concatenate(list(stream_mono(silent, 16_000)))).max() == 0


@pytest.mark.parametrize("origin", [-(10**5), 10**5])
def test_sound_hours_away_is_damage(tmp_path, origin):
    sound = Sound(tmp_path / "a.mp4", RATE, 1, RATE)
    with pytest.raises(AudioError, match="begin 100000 s apart"):
        sound.starting_at(Fraction(origin))
