"""A portrait follows a camera, for which a video stands in: one picture for each frame, at once, in step."""

import io
import os
import signal
import sys
import threading
from contextlib import closing, nullcontext
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
from fake_models import SIDE, fake_models
from gray_videos import gray_level, gray_levels, gray_video, unsteady_video
from PIL import Image

from talkinghead import CropOptions, DriveOptions, Options, RenderOptions, cli
from talkinghead.errors import OptionError, OutputError, VideoError
from talkinghead.media.video import VideoFrame, probe_video, read_frames
from talkinghead.options import LiveOptions
from talkinghead.realtime import session as session_module
from talkinghead.realtime import webcam as webcam_module
from talkinghead.realtime.live import LiveReenactor, live
from talkinghead.realtime.session import run_live
from talkinghead.realtime.stopping import Stop
from talkinghead.source.image import open_image_source

pytestmark = pytest.mark.usefixtures("brightness_tracker")


@pytest.fixture
def picture():
    return np.random.default_rng(1).integers(0, 255, (480, 640, 3), np.uint8)


def gray(level, width=64):
    return np.full((48, width, 3), level, np.uint8)


def options(camera="0", calibrate=0.0, fps=None, **live):
    drive = DriveOptions(smooth=0.0)
    extracted = LiveOptions(camera=str(camera), calibrate=calibrate, **live)
    return Options(CropOptions(face_only=True), drive=drive, live=extracted, render=RenderOptions(fps=fps, crf=1))


def test_one_picture_comes_out_for_each_that_goes_in(picture):
    asked = []

    def camera():
        for level in (80, 120, 200):
            asked.append(level)
            yield gray(level)

    made = live(picture, camera(), options=options(), model=fake_models())
    for n, level in enumerate((80, 120, 200), 1):
        assert gray_level(next(made)) == pytest.approx(level, abs=1) and len(asked) == n
    assert next(made, None) is None


def test_the_portrait_is_still_during_calibration(picture):
    models = fake_models()
    levels = [150, 90, 40, 120, 200]  # the lips are as open as the picture is bright: the third is the neutral one
    made = gray_levels(live(picture, map(gray, levels), options=options(calibrate=0.16, fps=25), model=models))
    assert made == pytest.approx([0, 0, 0, 120, 200], abs=1)
    assert float(models.portrait.anchors[-1].lip_ratio) * 255 == pytest.approx(40, abs=1)


def test_without_a_face_the_portrait_stays_as_it_was(picture):
    levels = [0, 100, 0, 0, 180]
    made = gray_levels(live(picture, map(gray, levels), options=options(), model=fake_models()))
    assert made == pytest.approx([0, 100, 100, 100, 180], abs=1)


def test_a_new_neutral_face_may_be_taken(picture):
    models = fake_models()
    chosen = options(calibrate=0.08)
    reenactor = LiveReenactor(open_image_source(picture, "a", models, chosen.crop), models, chosen)
    made = [gray_level(reenactor.step(gray(level))) for level in (40, 60)]
    reenactor.calibrate()
    made += [gray_level(reenactor.step(gray(level))) for level in (200, 100)]
    assert made == pytest.approx([0, 60, 0, 100], abs=1) and reenactor.num_frames == 4
    neutral = [float(anchor.lip_ratio) * 255 for anchor in models.portrait.anchors]
    assert neutral == pytest.approx([40, 100], abs=1)


def test_pictures_of_its_own(picture):
    """What was handed out does not change afterwards, and may be drawn upon."""
    made = list(live(picture, map(gray, [100, 0, 180]), options=options(), model=fake_models()))
    made[0][:] = 7
    assert gray_level(made[1]) == pytest.approx(100, abs=1)


def test_a_video_stands_in_for_the_camera(tmp_path, picture):
    levels = [60 + 4 * n for n in range(30)]
    file = gray_video(tmp_path / "cam.mp4", levels, Fraction(30000, 1001))
    made = run_live(picture, tmp_path / "o.mp4", options(file), fake_models())
    assert (made.frames, made.fps, made.size) == (30, Fraction(30000, 1001), (SIDE, SIDE))
    frames = [gray_level(frame.picture) for frame in read_frames(tmp_path / "o.mp4")]
    assert frames == pytest.approx(levels, abs=3)
    short = run_live(picture, tmp_path / "p.mp4", options(file, seconds=0.5), fake_models())
    assert short.frames == 15


def test_ctrl_c_completes_the_file(tmp_path, picture, monkeypatch):
    file = gray_video(tmp_path / "cam.mp4", [60] * 30)
    step = LiveReenactor.step

    def interrupted(self, frame):
        if self.num_frames == 9:
            signal.raise_signal(signal.SIGINT)
        return step(self, frame)

    monkeypatch.setattr(LiveReenactor, "step", interrupted)
    made = run_live(picture, tmp_path / "o.mp4", options(file), fake_models())
    assert made.frames == 10 and len(list(read_frames(tmp_path / "o.mp4"))) == 10


@pytest.fixture
def ctrl_c():
    """Let Ctrl-C interrupt, also where the tests run in the background and ignore it, and return how to press it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler


def test_ctrl_c_before_the_first_frame_leaves_nothing(tmp_path, picture, monkeypatch, ctrl_c):
    file = gray_video(tmp_path / "cam.mp4", [60] * 3)
    monkeypatch.setattr(LiveReenactor, "step", lambda *_: ctrl_c())
    with pytest.raises(KeyboardInterrupt):
        run_live(picture, tmp_path / "o.mp4", options(file), fake_models())
    assert os.listdir(tmp_path) == ["cam.mp4"]


def test_ctrl_c_ends_the_wait_for_a_silent_pipe(tmp_path, picture, monkeypatch, ctrl_c):
    reading, writing = os.pipe()
    step = LiveReenactor.step

    def interrupted_later(self, frame):
        threading.Timer(0.2, ctrl_c).start()
        monkeypatch.setattr(LiveReenactor, "step", step)
        return step(self, frame)

    with open(reading, "rb", 0) as pipe, closing(open(writing, "wb", 0)) as sender:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=pipe))
        last_resort = threading.Timer(30, sender.close)
        last_resort.daemon = True
        last_resort.start()
        threading.Timer(0.2, ctrl_c).start()
        with pytest.raises(KeyboardInterrupt):
            run_live(picture, tmp_path / "o.mp4", options("-"), fake_models())
        assert not os.listdir(tmp_path)
        sender.write(as_matroska(gray_video(tmp_path / "cam.mp4", [60, 120, 180] * 20)))
        monkeypatch.setattr(LiveReenactor, "step", interrupted_later)
        made = run_live(picture, tmp_path / "o.mp4", options("-"), fake_models())
        assert made.frames >= 1 and len(list(read_frames(tmp_path / "o.mp4"))) == made.frames


def test_a_second_ctrl_c_interrupts(ctrl_c):
    with Stop() as stop:
        stop.arm()
        ctrl_c()
        assert stop.next_frame(iter(())) is None
        with pytest.raises(KeyboardInterrupt):
            ctrl_c()


def test_frames_go_into_a_pipe(tmp_path, picture, monkeypatch):
    out = SimpleNamespace(buffer=io.BytesIO())
    monkeypatch.setattr(sys, "stdout", out)
    run_live(picture, "-", options(gray_video(tmp_path / "cam.mp4", [60, 120])), fake_models())
    frames = np.frombuffer(out.buffer.getvalue(), np.uint8).reshape(-1, SIDE, SIDE, 3)
    assert [gray_level(frame) for frame in frames] == pytest.approx([60, 120], abs=2)


def as_matroska(file):
    content = io.BytesIO()
    with av.open(str(file)) as given, av.open(content, "w", format="matroska") as taken:
        stream = taken.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                taken.mux(packet)
    return content.getvalue()


def test_a_video_comes_through_a_pipe(tmp_path, picture, monkeypatch):
    content = as_matroska(gray_video(tmp_path / "cam.mp4", [60, 120, 180]))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    made = run_live(picture, tmp_path / "o.mp4", options("-"), fake_models())
    assert made.frames == 3
    damaged = content[:700] + bytes(len(content) - 700)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(damaged)))
    with pytest.raises(VideoError, match="standard input: has no frame"):
        run_live(picture, tmp_path / "p.mp4", options("-"), fake_models())
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"no video" * 100)))
    with pytest.raises(VideoError, match="standard input: not a video"):
        run_live(picture, tmp_path / "p.mp4", options("-"), fake_models())


def test_an_mp4_with_its_index_at_the_end_is_refused_in_a_pipe(tmp_path, picture, monkeypatch):
    content = unsteady_video(tmp_path / "cam.mp4", range(5)).read_bytes()  # the index comes last
    start = content.index(b"mdat") - 4
    unused = (1 << 17).to_bytes(4) + b"free" + bytes((1 << 17) - 8)  # more than FFmpeg keeps in memory
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content[:start] + unused + content[start:])))
    with pytest.raises(VideoError, match="standard input: not a video that can be read; send matroska or mpegts"):
        run_live(picture, tmp_path / "o.mp4", options("-"), fake_models())
    assert not (tmp_path / "o.mp4").exists()


def test_a_pipe_that_breaks_off_ends_the_video_there(tmp_path, monkeypatch):
    content = as_matroska(gray_video(tmp_path / "cam.mp4", [60, 120, 180]))

    for frames, end in (
        ([VideoFrame(np.zeros((4, 4, 3), np.uint8), Fraction(2))], nullcontext()),
        ([], pytest.raises(VideoError, match="standard input: not a video")),
    ):

        def broken(*_, frames=frames):
            yield from frames
            raise av.error.InvalidDataError(1, "broken")

        monkeypatch.setattr(webcam_module, "decode_frames", broken)
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
        with webcam_module.open_feed(LiveOptions(camera="-")) as feed, end:
            assert [frame.seconds for frame in feed.frames] == [0]


def test_a_variable_rate_in_a_pipe_is_that_of_the_file(tmp_path, monkeypatch):
    file = unsteady_video(tmp_path / "cam.mkv", [0, 1, 2, 5, 6, 9, 10], rate=1000)
    with av.open(str(file)) as container:
        assert container.streams.video[0].guessed_rate == 1000
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(file.read_bytes())))
    with webcam_module.open_feed(LiveOptions(camera="-")) as feed:
        assert feed.fps == probe_video(file).fps
        assert len(list(feed.frames)) == 7


class Webcam:
    """Gives three frames, the left half bright, and then nothing; number 1 gives none, 7 does not exist."""

    def __init__(self, number):
        self.number, self.left = number, 0 if number else 3

    def isOpened(self):  # noqa: N802
        return self.number < 7

    def get(self, _):
        return 30.0

    def read(self):
        self.left -= 1
        blue_half_bright = np.zeros((48, 64, 3), np.uint8)
        blue_half_bright[:, :32, 0] = 240
        return self.left >= 0, blue_half_bright

    def release(self):
        pass


def test_a_camera_gives_its_newest_frame_as_rgb(monkeypatch):
    monkeypatch.setattr(webcam_module.cv2, "VideoCapture", Webcam)
    for mirror, side in ((False, slice(0, 32)), (True, slice(32, 64))):
        with webcam_module.open_feed(LiveOptions(camera="0", mirror=mirror)) as feed:
            frames = list(feed.frames)
            assert feed.fps == 30 and feed.is_live and 1 <= len(frames) <= 3
        assert frames[0].seconds == 0 and (frames[0].picture[:, side] == [0, 0, 240]).all()
    with webcam_module.open_feed(LiveOptions(camera="1")) as feed, pytest.raises(VideoError, match="sends no pictures"):
        next(iter(feed.frames))
    with pytest.raises(VideoError, match="camera 7 cannot be opened"), webcam_module.open_feed(LiveOptions(camera="7")):
        pass


def test_without_a_screen_there_is_no_window(tmp_path, picture, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(session_module.sys, "platform", "linux")
    with pytest.raises(OutputError, match=r"no window can be opened.*-o FILE"):
        run_live(picture, None, options(gray_video(tmp_path / "cam.mp4", [60])), fake_models())


def test_a_window_shows_what_is_made(tmp_path, picture, monkeypatch):
    seen, keys = [], iter([-1, ord(" "), ord("q")])
    monkeypatch.setenv("DISPLAY", ":0")
    stand_ins = {
        "currentUIFramework": lambda: "test",
        "imshow": lambda _, frame: seen.append(gray_level(frame)),
        "waitKey": lambda _: next(keys),
        "destroyAllWindows": lambda: None,
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(session_module.cv2, name, stand_in)
    made = run_live(picture, None, options(gray_video(tmp_path / "cam.mp4", [60, 90, 120, 150])), fake_models())
    assert made.frames == 3 and seen == pytest.approx([60, 90, 120], abs=2)


def test_the_command(tmp_path, picture, monkeypatch, capsys):
    monkeypatch.setattr(session_module, "load_models_for", lambda *_, **__: fake_models())
    monkeypatch.chdir(tmp_path)
    Image.fromarray(picture).save("a.png")
    gray_video(tmp_path / "cam.mp4", [60] * 5)
    command = ["live", "--source", "a.png", "--camera", "cam.mp4", "--face-only", "--calibrate", "0", "-o"]
    cli.main([*command, "o.mp4"])
    out, err = capsys.readouterr()
    assert out == "" and "5 frames" in err and f"{SIDE}×{SIDE} at 25 fps" in err
    with pytest.raises(SystemExit):
        cli.main([*command, "o.mp4"])
    assert "exists already" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["live", "--source", "a.png", "--camera", "missing.mp4", "-o", "p.mp4"])
    assert "missing.mp4: no such file" in capsys.readouterr().err
    with pytest.raises(OptionError, match="seconds"):
        LiveOptions(seconds=0.0)
