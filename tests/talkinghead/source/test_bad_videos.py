"""Videos as they should not be: cut, damaged, empty, unsteady; as sources and as drivers."""

from itertools import pairwise

import av
import numpy as np
import pytest
import soundfile
from drawn_face import drawn_face
from fake_models import BrightnessTracker
from gray_videos import gray_levels, gray_video, unsteady_video

import talkinghead
from talkinghead import CropOptions, Options
from talkinghead.errors import VideoError
from talkinghead.face import FaceDetector, FaceTracker
from talkinghead.face.cuts import CutFinder
from talkinghead.media.audio import probe_sound
from talkinghead.media.video import probe_video, read_frames
from talkinghead.source import video as video_source_module
from talkinghead.source.video import TrackedFrame, bridged


def reenact(source, driver, models, output=None, **crop):
    return talkinghead.reenact(source, driver, output, options=Options(CropOptions(**crop)), model=models)


def test_a_source_of_variable_rate_keeps_its_length(tmp_path, video_models):
    source = unsteady_video(tmp_path / "s.mp4", [*range(20), *range(20, 60, 2)])
    video = reenact(source, gray_video(tmp_path / "d.mp4", [100] * 5), video_models, face_only=True)
    assert video.fps == 25 and len(video) == pytest.approx(60, abs=3)
    assert len(list(video)) == pytest.approx(60, abs=2)


def test_sound_ends_with_the_pictures_of_a_damaged_source(tmp_path, video_models):
    soundfile.write(tmp_path / "a.wav", 0.3 * np.sin(np.arange(32_000) * 0.2), 16_000)
    gray_video(tmp_path / "s.mp4", [100] * 50, sound=probe_sound(tmp_path / "a.wav"))
    content = bytearray((tmp_path / "s.mp4").read_bytes())
    with av.open(str(tmp_path / "s.mp4")) as container:
        packets = [packet for packet in container.demux(video=0) if packet.pos is not None]
    for packet in packets[30:]:
        content[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    (tmp_path / "damaged.mp4").write_bytes(content)
    left = len(list(read_frames(tmp_path / "damaged.mp4")))
    assert 25 <= left < 50
    driver = gray_video(tmp_path / "d.mp4", [120] * 60)
    made = reenact(tmp_path / "damaged.mp4", driver, video_models, tmp_path / "o.mp4")
    assert made.frames == pytest.approx(left, abs=1)
    with av.open(str(made.file)) as container:
        sound = container.streams.audio[0]
        assert abs(float(sound.duration * sound.time_base) - made.seconds) < 0.07  # a frame, and AAC's first block


def test_a_video_of_no_length(tmp_path, video_models):
    with av.open(str(tmp_path / "z.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    (tmp_path / "e.mp4").write_bytes(b"")
    good = gray_video(tmp_path / "d.mp4", [100] * 3)
    for name in ("z.mp4", "e.mp4"):
        for source, driver in ((tmp_path / name, good), (good, tmp_path / name)):
            with pytest.raises(VideoError, match=name):
                reenact(source, driver, video_models)


def test_frames_without_times_count_themselves(tmp_path):
    with av.open(str(tmp_path / "raw.h264"), "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in (40, 80, 120, 160):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), level, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    times = [frame.seconds for frame in read_frames(tmp_path / "raw.h264")]
    assert len(times) == 4 and all(b > a for a, b in pairwise(times))
    assert probe_video(tmp_path / "raw.h264").num_frames >= 1


def test_a_driver_whose_face_comes_late(tmp_path, video_models):
    driver = gray_video(tmp_path / "d.mp4", [0] * 60 + [150] * 5)
    video = reenact(np.full((240, 320, 3), 90, np.uint8), driver, video_models, face_only=True)
    assert gray_levels(video) == pytest.approx([150] * 65, abs=2)
    (note,) = video.notes
    assert "no face in 60 of 65 frames, first at 0.0 s" in note


def test_lost_faces_and_cuts_are_reported(tmp_path, video_models, monkeypatch):
    class Cutting(BrightnessTracker):
        def track(self, picture):
            level = float(picture.mean())
            self.is_cut, self.level = level > 200, level
            return super().track(picture)

    monkeypatch.setattr(video_source_module, "FaceTracker", Cutting)
    source = gray_video(tmp_path / "s.mp4", [100] * 25 + [5] * 20 + [240] + [100] * 5)
    made = reenact(source, gray_video(tmp_path / "d.mp4", [120] * 60), video_models, tmp_path / "o.mp4")
    assert made.frames == 51
    assert any("no face to animate in 20 of 51 frames, first at 1.0 s" in note for note in made.notes)
    assert any("a new scene at 1.8 s" in note for note in made.notes)


def test_nothing_is_bridged_across_a_cut():
    here, there = np.zeros((478, 3), np.float32), np.full((478, 3), 4, np.float32)
    picture = np.zeros((1, 1, 3), np.uint8)
    seen = [
        TrackedFrame(picture, here),
        TrackedFrame(picture, None),
        TrackedFrame(picture, None, is_cut=True),
        TrackedFrame(picture, there),
    ]
    assert [frame.points is None for frame in bridged(seen)] == [False, True, True, False]


def test_cuts_are_found_and_motion_is_none():
    rng = np.random.default_rng(0)
    rooms = [np.kron(rng.integers(0, 255, (8, 8, 3)), np.ones((40, 40, 1))).astype(np.uint8) for _ in range(2)]
    finder = CutFinder()
    panned = [np.roll(rooms[0], 6 * n, axis=1) for n in range(5)]
    dimmed = [(rooms[0] * share).astype(np.uint8) for share in (0.9, 0.7, 0.5)]
    shots = [*panned, *[panned[-1]] * 2, rooms[1], rooms[1], *dimmed]
    assert [n for n, picture in enumerate(shots) if finder.is_cut(picture)] == [7, 9]


@pytest.fixture(scope="module")
def detector():
    return FaceDetector()


def test_one_person_is_followed_through_cuts(detector):
    """Two people change places with the scene; the one who was larger at first is followed."""
    hero, other = drawn_face(240), drawn_face(200)[..., ::-1]  # the other's skin is blue
    walls = np.random.default_rng(0).integers(0, 255, (2, 4, 8, 3))

    def scene(wall, hero_at=None, other_at=None):
        picture = np.kron(walls[wall], np.ones((80, 80, 1))).astype(np.uint8)
        for face, left in ((hero, hero_at), (other, other_at)):
            if left is not None:
                picture[40 : 40 + len(face), left : left + len(face)] = face
        return picture

    shots = [*[scene(0, 20, 400)] * 4, *[scene(1, 390, 20)] * 3, *[scene(0, None, 200)] * 2, scene(1, 200, None)]
    tracker = FaceTracker(detector)
    centers, cuts = [], []
    for n, points in enumerate(tracker.follow(shots)):
        centers.append(None if points is None else float(points[:, 0].mean()))
        cuts += [n] * tracker.is_cut
    assert cuts == [4, 7, 9]
    assert centers[:4] == pytest.approx([140] * 4, abs=15)
    assert centers[4:7] == pytest.approx([510] * 3, abs=15)
    assert centers[7:9] == [None, None]  # the other one alone is not taken for the one followed
    assert centers[9] == pytest.approx(320, abs=15)
