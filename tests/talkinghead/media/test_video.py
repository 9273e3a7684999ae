"""Videos are complete, in sync, marked, and never left half written."""

import math
import os
import resource
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile

from talkinghead.errors import ImageError, OutputError, OutputExistsError, VideoError
from talkinghead.media.audio import probe_sound, stream_frames
from talkinghead.media.files import check_output
from talkinghead.media.video import VideoWriter, read_frames, read_picture_or_video


def clicks(file, rate, channels=1, seconds=2.0):
    """Write noise bursts at 0.5 s and 1.5 s."""
    wave = np.zeros(round(seconds * rate), np.float32)
    noise = np.random.default_rng(0).uniform(-0.8, 0.8, rate // 20).astype(np.float32)
    for at in (0.5, 1.5):
        wave[round(at * rate) : round(at * rate) + len(noise)] = noise
    soundfile.write(file, np.stack([wave] * channels, 1), rate)
    return probe_sound(file)


def picture(n, height=48, width=64):
    """Encode a frame number as brightness."""
    return np.full((height, width, 3), 40 + 3 * (n % 60), np.uint8)


def write(file, sound=None, fps=Fraction(25), count=50, size=(48, 64)):
    with VideoWriter(file, fps, size, sound, overwrite=True) as writer:
        for n in range(count):
            writer.write(picture(n, *size))
    return file


@pytest.mark.parametrize(
    ("fps", "rate", "channels"),
    [
        (Fraction(25), 16_000, 1),
        (Fraction(30000, 1001), 44_100, 2),
        (Fraction(24000, 1001), 48_000, 2),
        (Fraction(50), 8_000, 1),
    ],
)
def test_picture_and_sound_keep_their_rates_and_end_together(tmp_path, fps, rate, channels):
    sound = clicks(tmp_path / "a.wav", rate, channels)
    count = math.ceil(sound.seconds * fps)
    write(tmp_path / "a.mp4", sound, fps, count)
    with av.open(str(tmp_path / "a.mp4")) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert video.codec_context.pix_fmt == "yuv420p"
        assert video.average_rate == fps and video.frames == count
        assert (audio.rate, audio.layout.nb_channels) == (rate, channels)
        assert video.start_time == audio.start_time == 0
        assert abs(video.duration * video.time_base - audio.duration * audio.time_base) < 1 / fps


def test_sound_is_not_shifted(tmp_path):
    sound = clicks(tmp_path / "a.wav", 16_000)
    write(tmp_path / "a.mp4", sound)
    before, after = (
        np.concatenate([frame.to_ndarray()[0] for frame in stream_frames(file, 16_000, "mono")])[:32_000]
        for file in (sound.file, tmp_path / "a.mp4")
    )
    matches = np.fft.irfft(np.fft.rfft(after, 64_000) * np.fft.rfft(before, 64_000).conj())
    assert matches.argmax() == 0


def test_rates_that_aac_does_not_know_are_resampled(tmp_path):
    sound = clicks(tmp_path / "a.wav", 192_000)
    with av.open(str(write(tmp_path / "a.mp4", sound))) as container:
        assert container.streams.audio[0].rate == 96_000


def test_six_channels_stay_six(tmp_path):
    sound = clicks(tmp_path / "a.wav", 48_000, 6)
    with av.open(str(write(tmp_path / "a.mp4", sound))) as container:
        assert container.streams.audio[0].layout.name.startswith("5.1")


def test_frames_come_back_in_order_with_their_times_and_colors(tmp_path):
    write(tmp_path / "a.mp4", fps=Fraction(30000, 1001), count=20)
    frames = list(read_frames(tmp_path / "a.mp4"))
    assert [frame.seconds for frame in frames] == [n * Fraction(1001, 30000) for n in range(20)]
    assert [round(float(frame.picture.mean())) for frame in frames] == pytest.approx(
        [40 + 3 * n for n in range(20)], abs=2
    )
    red = np.zeros((64, 64, 3), np.uint8) + np.array([200, 30, 40], np.uint8)
    with VideoWriter(tmp_path / "red.mp4", Fraction(25), (64, 64)) as writer:
        writer.write(red)
    assert np.abs(next(read_frames(tmp_path / "red.mp4")).picture.astype(int) - red).max() <= 4


@pytest.mark.parametrize("size", [(47, 64), (48, 63), (33, 35)])
def test_odd_sizes_grow_by_their_edge(tmp_path, size):
    frame = next(read_frames(write(tmp_path / "a.mp4", count=3, size=size)))
    assert frame.picture.shape == (size[0] + size[0] % 2, size[1] + size[1] % 2, 3)
    assert np.ptp(frame.picture) <= 3


def test_the_file_says_that_it_is_generated_and_starts_fast(tmp_path):
    file = write(tmp_path / "a.mp4", count=3)
    with av.open(str(file)) as container:
        tags = container.metadata
    assert (
        tags["digital_source_type"]
        == "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
    )
    assert tags["ai_generated"] == "true" and "AI-generated" in tags["comment"]
    assert tags["generator"].startswith("talkinghead ")
    content = file.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize("tilt", [0.0, 2.0, -2.0])
def test_rotation_is_obeyed_to_the_nearest_quarter(tmp_path, tilt):
    file = tmp_path / "a.mp4"
    upright = np.zeros((48, 64, 3), np.uint8)
    upright[:, :32] = 255
    with VideoWriter(file, Fraction(25), (48, 64)) as writer:
        writer.write(upright)
    content = bytearray(file.read_bytes())
    matrix = content.index(b"tkhd") + 44
    turn = np.deg2rad(90 + tilt)  # shown turned clockwise by about a quarter
    sine, cosine = round(np.sin(turn) * 65536), round(np.cos(turn) * 65536)
    for n, value in enumerate((cosine, sine, 0, -sine, cosine, 0, 0, 0, 1 << 30)):
        content[matrix + 4 * n : matrix + 4 * n + 4] = (value & 0xFFFFFFFF).to_bytes(4, "big")
    file.write_bytes(content)
    turned = next(read_frames(file)).picture
    assert turned.shape == (64, 48, 3)
    assert turned[:20].mean() > 250 and turned[-20:].mean() < 5


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_after_an_error(tmp_path, error):
    with pytest.raises(error), VideoWriter(tmp_path / "a.mp4", Fraction(25), (48, 64)) as writer:
        for n in range(30):
            writer.write(picture(n))
        assert len(os.listdir(tmp_path)) == 1  # the partial file
        raise error
    assert not os.listdir(tmp_path)


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path):
    file = tmp_path / "a.mp4"
    file.write_text("old")
    with pytest.raises(RuntimeError), VideoWriter(file, Fraction(25), (48, 64)) as writer:
        writer.write(picture(0))
        raise RuntimeError
    assert file.read_text() == "old"
    write(file, count=2)
    assert len(list(read_frames(file))) == 2


FILL = """
import sys, numpy as np
from fractions import Fraction
from pathlib import Path
from talkinghead.media.video import VideoWriter
noise = np.random.default_rng(0)
try:
    with VideoWriter(Path(sys.argv[1]), Fraction(25), (256, 256)) as writer:
        for _ in range(60):
            writer.write(noise.integers(0, 255, (256, 256, 3), np.uint8))
except OSError as error:
    print(type(error).__name__, error)
"""


def test_a_write_that_fails_is_one_line_and_leaves_nothing(tmp_path):
    """A limit on the size of files stands in for a full disk."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))  # noqa: E731
    command = [sys.executable, "-c", FILL, str(tmp_path / "a.mp4")]
    result = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.startswith("OutputError") and len(result.stdout.splitlines()) == 1, result
    assert not os.listdir(tmp_path)


def test_a_full_disk_is_called_so():
    import errno
    from pathlib import Path

    from talkinghead.media.files import output_error

    assert "disk is full" in str(output_error(Path("a.mp4"), OSError(errno.ENOSPC, "No space left on device")))


def test_outputs_are_checked_first(tmp_path):
    taken = tmp_path / "taken.mp4"
    taken.write_text("x")
    for bad, said in [
        (tmp_path, "folder"),
        (tmp_path / "a.avi", "mp4"),
        (tmp_path / "nowhere" / "a.mp4", "no such folder"),
    ]:
        with pytest.raises(OutputError, match=said):
            check_output(bad, overwrite=False)
    with pytest.raises(OutputExistsError, match="--overwrite"):
        check_output(taken, overwrite=False)
    with pytest.raises(OutputError, match="one of the inputs"):
        check_output(tmp_path / "." / "taken.mp4", [taken], overwrite=True)
    assert check_output(taken, overwrite=True) == taken


def test_a_closed_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # who runs the tests may be allowed everything
    with pytest.raises(OutputError, match="may not be written"):
        check_output(tmp_path / "a.mp4", overwrite=False)


def test_what_is_no_video_is_refused(tmp_path):
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(VideoError, match="not a video"):
        next(read_frames(tmp_path / "a.mp4"))
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 16_000)
    with pytest.raises(VideoError, match="no picture"):
        next(read_frames(tmp_path / "a.wav"))


def test_a_file_that_is_called_a_picture_is_not_called_a_video(tmp_path):
    (tmp_path / "bad.png").write_text("no picture")
    with pytest.raises(ImageError, match=r"bad\.png: not a picture that can be read"):
        read_picture_or_video(tmp_path / "bad.png")


def test_pictures_are_asked_for_where_they_may_be_given(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 16_000)
    for name in ("bad.mp4", "notes.txt", "a.jp2", "a.wav"):
        if not (tmp_path / name).exists():
            (tmp_path / name).write_text("neither of the two")
        with pytest.raises(VideoError, match=r": neither a picture nor a video .*; give a PNG, .* or TIFF, or an mp4"):
            read_picture_or_video(tmp_path / name)
