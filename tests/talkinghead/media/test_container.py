"""What may be opened as a medium: no other files through it, no endless ones, whatever its tags hold."""

import os
import socket
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile

from talkinghead.errors import AudioError, ImageError, InputNotFoundError, VideoError
from talkinghead.media import container as container_module
from talkinghead.media.audio import probe_sound
from talkinghead.media.container import open_container
from talkinghead.media.files import require_file
from talkinghead.media.image import read_image
from talkinghead.media.video import probe_video, read_frames


def write_video(file, count=5, times=None, size=(48, 64), tags=None, codec="libx264"):
    """Write a video, at times counted in 25ths of a second."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p" if codec == "libx264" else "rgb24"
        container.metadata.update(tags or {})
        for n in range(count) if times is None else times:
            frame = av.VideoFrame.from_ndarray(np.full((*size, 3), 40 + n % 50, np.uint8))
            frame.pts, frame.time_base = n, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file


def spoil(file, tag):
    """Put Latin-1 in place of a tag."""
    content = file.read_bytes()
    assert tag in content
    file.write_bytes(content.replace(tag, b"\xe9" * len(tag)))
    return file


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_tags_in_any_encoding(tmp_path, suffix):
    file = tmp_path / f"a.{suffix}"
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.metadata["title"] = "TITLE_OF_FILE"
        stream.metadata["title"] = stream.metadata["handler_name"] = "TITLE_OF_STREAM"
        mark = {"id": 1, "start": 0, "end": 100, "time_base": Fraction(1, 1000), "metadata": {"title": "TITLE_OF_PART"}}
        container.set_chapters([mark])
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))))
        container.mux(stream.encode(None))
    for tag in (b"TITLE_OF_FILE", b"TITLE_OF_STREAM", b"TITLE_OF_PART"):
        spoil(file, tag)
    assert probe_video(file).size == (48, 64)


def test_tags_of_sounds_in_any_encoding(tmp_path):
    with soundfile.SoundFile(tmp_path / "a.wav", "w", 16_000, 1) as sound:
        sound.title = "TITLE_OF_FILE"
        sound.write(np.zeros(1600))
    assert probe_sound(spoil(tmp_path / "a.wav", b"TITLE_OF_FILE")).num_samples == 1600


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:5,\n{file}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{self}\n",
        "ffconcat version 1.0\nfile {file}\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
        '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"></MPD>\n',
    ],
)
@pytest.mark.parametrize("suffix", ["wav", "mp4", "m3u8"])
def test_lists_of_other_files_are_refused(tmp_path, monkeypatch, text, suffix):
    write_video(tmp_path / "private.ts")
    file = tmp_path / f"list.{suffix}"
    file.write_text(text.format(file="private.ts", self=file.name))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AudioError, match="a list of other files"):
        probe_sound(file)
    with pytest.raises(VideoError, match="a list of other files"):
        probe_video(file)


def test_a_pipe_may_not_be_a_list_either(tmp_path):
    (tmp_path / "a.m3u8").write_text("#EXTM3U\n#EXTINF:5,\n/etc/hostname\n")
    with (tmp_path / "a.m3u8").open("rb") as pipe, pytest.raises(av.FFmpegError):
        open_container(pipe)


@pytest.mark.parametrize(
    "name", ["pipe:0", "concat:a.wav|a.wav", "data:audio/wav;base64,UklGRg==", "http://127.0.0.1/"]
)
def test_names_are_never_addresses(tmp_path, monkeypatch, name):
    soundfile.write(tmp_path / "a.wav", np.zeros(1600), 16_000)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputNotFoundError):
        probe_sound(name)


@pytest.fixture
def special(tmp_path):
    os.mkfifo(tmp_path / "fifo.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        (tmp_path / "circle").symlink_to("circle")
        (tmp_path / "zero.mp4").symlink_to("/dev/zero")
        yield tmp_path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fifo.png", "a pipe, give a file"),
        ("socket", "a socket, give a file"),
        ("zero.mp4", "a device, give a file"),
        (".", "a folder, give a file"),
        ("/proc/self/mem", "empty"),
        ("circle", "cannot be opened"),
        ("a" * 300, "name is too long"),
        ("a/" * 3000, "name is too long"),
        ("a\0b", "zero byte"),
    ],
)
def test_what_is_no_file_is_one_line(special, name, said):
    for read, wrong in ((read_image, ImageError), (probe_sound, AudioError), (probe_video, VideoError)):
        with pytest.raises(wrong, match=said):
            read(special / name)


def test_a_part_of_a_path_that_is_a_file(tmp_path):
    (tmp_path / "a").write_text("x")
    with pytest.raises(InputNotFoundError):
        require_file(tmp_path / "a" / "b", ImageError)


def test_a_gap_of_hours_is_refused(tmp_path):
    file = write_video(tmp_path / "a.mkv", times=[0, 1, 2, 25 * 3600 * 30])
    with pytest.raises(VideoError, match="108000 s apart"):
        list(read_frames(file))
    assert len(list(read_frames(write_video(tmp_path / "b.mkv", times=[0, 1, 25 * 500])))) == 3


def test_joined_streams_go_on(tmp_path):
    """The second half of two joined files begins at its own zero."""
    write_video(tmp_path / "a.ts", 10)
    (tmp_path / "b.ts").write_bytes((tmp_path / "a.ts").read_bytes() * 2)
    frames = list(read_frames(tmp_path / "b.ts"))
    seconds = [frame.seconds - frames[0].seconds for frame in frames]
    assert len(frames) == 20 and seconds == sorted(seconds)
    assert seconds[-1] == pytest.approx(19 / 25, abs=0.05)


def test_frames_that_change_their_size_keep_the_first_one(tmp_path):
    write_video(tmp_path / "a.ts", 5)
    write_video(tmp_path / "b.ts", 5, size=(96, 96))
    (tmp_path / "c.ts").write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    assert {frame.picture.shape for frame in read_frames(tmp_path / "c.ts")} == {(48, 64, 3)}


def test_frames_that_are_too_large_are_not_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr("talkinghead.media.video.MAX_FRAME_PIXELS", 48 * 64 - 1)
    with pytest.raises(VideoError, match="64 × 48 pixels are too large"):
        next(read_frames(write_video(tmp_path / "a.mp4")))


def test_a_container_that_hides_how_large_its_frames_are(tmp_path, monkeypatch):
    """The size of a png stands in its own header as well."""
    file = write_video(tmp_path / "a.avi", codec="png", size=(16, 16))
    big = write_video(tmp_path / "big.avi", codec="png", size=(400, 400))
    with av.open(str(big)) as opened:
        packet = bytes(next(opened.demux(video=0)))
    with av.open(str(file)) as given, av.open(str(tmp_path / "bomb.avi"), "w") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        bomb = av.Packet(packet)
        bomb.stream, bomb.pts, bomb.dts, bomb.time_base = stream, 0, 0, Fraction(1, 1000)
        made.mux(bomb)
    limit = 300 * 300
    monkeypatch.setattr(container_module, "MAX_FRAME_PIXELS", limit)
    monkeypatch.setitem(container_module._OPTIONS, "max_pixels", str(limit))
    with pytest.raises(VideoError):
        next(read_frames(tmp_path / "bomb.avi"))
    monkeypatch.undo()
    assert next(read_frames(tmp_path / "bomb.avi")).picture.size


def test_a_cover_is_no_video(tmp_path):
    from PIL import Image

    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    with av.open(str(tmp_path / "a.mp3"), "w") as container:
        sound, cover = container.add_stream("libmp3lame", rate=44_100), container.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "rgb24"
        cover.disposition = 1024
        container.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44_100), np.int16), "s16p", "mono")
        frame.sample_rate = 44_100
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    assert probe_sound(tmp_path / "a.mp3").seconds > Fraction(9, 10)
    with pytest.raises(VideoError, match="not a video"):
        probe_video(tmp_path / "a.mp3")
