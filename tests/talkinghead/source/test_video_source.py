"""A video as the source keeps its rate, its length, its sound and the frames that show no face."""

from fractions import Fraction

import numpy as np
import pytest
import soundfile
from fake_models import mesh_at
from gray_videos import gray_levels, gray_video

import talkinghead
from talkinghead import CropOptions, DriveOptions, Options
from talkinghead.errors import OptionError
from talkinghead.face import NoFaceError, tone
from talkinghead.media.audio import probe_sound
from talkinghead.media.timing import steady
from talkinghead.media.video import VideoFrame, probe_video
from talkinghead.source.video import TrackedFrame, VideoSource, bridged, open_video_sources


def reenact(source, driver, models, crop=False, **drive):
    options = Options(CropOptions(face_only=crop), drive=DriveOptions(**drive))
    return talkinghead.reenact(source, driver, options=options, model=models)


def test_the_source_keeps_its_rate_and_the_driver_keeps_its_time(tmp_path, video_models):
    source = gray_video(tmp_path / "s.mp4", [100] * 60, Fraction(30000, 1001))
    driver = gray_video(tmp_path / "d.mp4", [40 + 4 * n for n in range(25)])
    video = reenact(source, driver, video_models, crop=True)
    levels = gray_levels(video)
    assert video.fps == Fraction(30000, 1001) and len(levels) == len(video) == 60
    expected = [40 + 4 * min(n * 25 * 1001 / 30000, 24) for n in range(60)]  # after a second it stays as it ended
    assert levels == pytest.approx(expected, abs=3)
    assert len(video_models.portrait.encoded) == 60  # every frame's own face


def test_a_short_driver_goes_back_and_forth(tmp_path, video_models):
    source = gray_video(tmp_path / "s.mp4", [100] * 10)
    video = reenact(source, gray_video(tmp_path / "d.mp4", [60, 100, 140, 180]), video_models, crop=True, loop=True)
    assert gray_levels(video) == pytest.approx([60, 100, 140, 180, 140, 100, 60, 100, 140, 180], abs=2)


def test_frames_without_a_face_pass_as_they_are(tmp_path, video_models):
    source = gray_video(tmp_path / "s.mp4", [5] * 3 + [100] * 5 + [8] * 12 + [100] * 3)
    frames = list(reenact(source, gray_video(tmp_path / "d.mp4", [200] * 30), video_models))
    assert len(frames) == 23 and {frame.shape for frame in frames} == {(48, 64, 3)}
    changed = [bool(np.ptp(frame) > 30) for frame in frames]
    assert changed == [False] * 3 + [True] * 5 + [False] * 12 + [True] * 3


def test_the_sound_is_the_sources_unless_the_drivers_is_asked_for(tmp_path, video_models):
    for name, pitch in (("s", 0.1), ("d", 0.3)):
        soundfile.write(tmp_path / f"{name}.wav", 0.3 * np.sin(np.arange(16_000) * pitch), 16_000)
        gray_video(tmp_path / f"{name}.mp4", [100] * 25, sound=probe_sound(tmp_path / f"{name}.wav"))
    for asked, name in (("auto", "s"), ("source", "s"), ("driver", "d")):
        assert reenact(tmp_path / "s.mp4", tmp_path / "d.mp4", video_models, audio=asked).sound.file.stem == name
    gray_video(tmp_path / "mute.mp4", [100] * 3)
    assert reenact(tmp_path / "mute.mp4", tmp_path / "d.mp4", video_models).sound is None


def test_a_source_video_without_a_face(tmp_path, video_models):
    with pytest.raises(NoFaceError, match=r"s\.mp4: no face in its 60 frames; give another video"):
        reenact(gray_video(tmp_path / "s.mp4", [5] * 60), gray_video(tmp_path / "d.mp4", [100] * 3), video_models)


def test_the_crop_of_a_source_video_cannot_be_its_whole_picture(tmp_path, video_models):
    source, driver = gray_video(tmp_path / "s.mp4", [100] * 3), gray_video(tmp_path / "d.mp4", [100] * 3)
    with pytest.raises(OptionError, match=r"s\.mp4: --whole-picture-as-face is for pictures"):
        whole = Options(CropOptions(whole_picture_as_face=True))
        talkinghead.reenact(source, driver, options=whole, model=video_models)
    with pytest.raises(OptionError, match="outside the picture, which has 64×48"):
        talkinghead.reenact(source, driver, options=Options(CropOptions(box="90,0,5,5")), model=video_models)


def test_short_gaps_are_bridged_and_long_ones_are_not():
    here, there = np.zeros((478, 3), np.float32), np.full((478, 3), 4, np.float32)
    picture = np.zeros((1, 1, 3), np.uint8)
    short = [None, here, None, None, None, there]
    points = [found for _, found, _ in bridged(TrackedFrame(picture, each) for each in short)]
    assert points[0] is None and [float(each[0, 0]) for each in points[1:]] == [0, 1, 2, 3, 4]
    long = [found for _, found, _ in bridged(TrackedFrame(picture, each) for each in [here, *[None] * 20, there])]
    assert [each is None for each in long] == [False, *[True] * 20, False]


def test_each_scene_is_judged_black_and_white_or_coloured_by_itself(tmp_path, video_models, monkeypatch):
    """Hardly any colour is none, unless the frame before was coloured; a cut ends that."""
    levels, cuts = (200, 100, 100), (False, False, True)
    grey = tone.Tone(np.arange(256, dtype=np.uint8)[:, None, None].repeat(3, 2))
    monkeypatch.setattr(tone, "find_tone", lambda picture, _, most: grey if picture.mean() < 100 * most else None)
    pictures = [np.full((48, 64, 3), level, np.uint8) for level in levels]
    frames = [TrackedFrame(each, mesh_at(32, 24, 20), cut) for each, cut in zip(pictures, cuts, strict=True)]
    monkeypatch.setattr(VideoSource, "tracked_frames", lambda _: iter(frames))
    (source,) = open_video_sources(probe_video(gray_video(tmp_path / "s.mp4", levels)), video_models, CropOptions())
    assert [frame.tone for frame in source.source_frames()] == [None, None, grey]


def test_a_variable_rate_becomes_steady():
    picture = np.zeros((1, 1, 3), np.uint8)
    times = [0, 1, 2, 4, 8, 8.4, 9]
    shown = steady((VideoFrame(picture, Fraction(time) / 25) for time in times), Fraction(25))
    assert [round(float(frame.seconds * 25), 1) for frame in shown] == [0, 1, 2, 2, 4, 4, 4, 4, 8.4, 9]
