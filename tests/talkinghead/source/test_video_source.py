"""A video as the source keeps its rate, its length, its sound and the frames that show no face."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import soundfile
from fake_models import BrightnessTracker, TwoFaces, fake_models

import talkinghead
from talkinghead import CropOptions, DriveOptions, Options
from talkinghead.driver import extract as watching
from talkinghead.errors import OptionError
from talkinghead.face import NoFaceError
from talkinghead.media.audio import probe_sound
from talkinghead.media.timing import steady
from talkinghead.media.video import VideoFrame, VideoWriter
from talkinghead.source import video as video_source_module
from talkinghead.source.video import TrackedFrame, bridged


class FacesInTheLight(TwoFaces):
    def detect(self, picture, *, thorough=True):
        return [replace(face, size=40) for face in super().detect(picture)] if picture.mean() > 20 else []


@pytest.fixture
def models(monkeypatch):
    for module in (watching, video_source_module):
        monkeypatch.setattr(module, "FaceTracker", BrightnessTracker)
    models = fake_models()
    object.__setattr__(models, "faces", FacesInTheLight())
    return models


def film(file, levels, fps=Fraction(25), sound=None):
    with VideoWriter(file, fps, (48, 64), sound, crf=1) as writer:
        for level in levels:
            writer.write(np.full((48, 64, 3), level, np.uint8))
    return file


def reenact(source, driver, models, crop=False, **drive):
    options = Options(CropOptions(face_only=crop), drive=DriveOptions(**drive))
    return talkinghead.reenact(source, driver, options=options, model=models)


def test_the_source_keeps_its_rate_and_the_driver_keeps_its_time(tmp_path, models):
    source = film(tmp_path / "s.mp4", [100] * 60, Fraction(30000, 1001))
    driver = film(tmp_path / "d.mp4", [40 + 4 * n for n in range(25)])
    video = reenact(source, driver, models, crop=True)
    frames = [float(frame[32, 32].mean()) for frame in video]
    assert video.fps == Fraction(30000, 1001) and len(frames) == len(video) == 60
    expected = [40 + 4 * min(n * 25 * 1001 / 30000, 24) for n in range(60)]  # after a second it stays as it ended
    assert frames == pytest.approx(expected, abs=3)
    assert len(models.portrait.encoded) == 60  # every frame's own face


def test_a_short_driver_goes_back_and_forth(tmp_path, models):
    source = film(tmp_path / "s.mp4", [100] * 10)
    video = reenact(source, film(tmp_path / "d.mp4", [60, 100, 140, 180]), models, crop=True, loop=True)
    levels = [round(float(frame[32, 32].mean())) for frame in video]
    assert levels == pytest.approx([60, 100, 140, 180, 140, 100, 60, 100, 140, 180], abs=2)


def test_frames_without_a_face_pass_as_they_are(tmp_path, models):
    source = film(tmp_path / "s.mp4", [5] * 3 + [100] * 5 + [8] * 12 + [100] * 3)
    frames = list(reenact(source, film(tmp_path / "d.mp4", [200] * 30), models))
    assert len(frames) == 23 and {frame.shape for frame in frames} == {(48, 64, 3)}
    changed = [bool(np.ptp(frame) > 30) for frame in frames]
    assert changed == [False] * 3 + [True] * 5 + [False] * 12 + [True] * 3


def test_the_sound_is_the_sources_unless_the_drivers_is_asked_for(tmp_path, models):
    for name, pitch in (("s", 0.1), ("d", 0.3)):
        soundfile.write(tmp_path / f"{name}.wav", 0.3 * np.sin(np.arange(16_000) * pitch), 16_000)
        film(tmp_path / f"{name}.mp4", [100] * 25, sound=probe_sound(tmp_path / f"{name}.wav"))
    for asked, name in (("auto", "s"), ("source", "s"), ("driver", "d")):
        assert reenact(tmp_path / "s.mp4", tmp_path / "d.mp4", models, audio=asked).sound.file.stem == name
    film(tmp_path / "mute.mp4", [100] * 3)
    assert reenact(tmp_path / "mute.mp4", tmp_path / "d.mp4", models).sound is None


def test_a_film_without_a_face(tmp_path, models):
    with pytest.raises(NoFaceError, match=r"s\.mp4"):
        reenact(film(tmp_path / "s.mp4", [5] * 60), film(tmp_path / "d.mp4", [100] * 3), models)


def test_a_films_crop_cannot_be_the_film_itself(tmp_path, models):
    source, driver = film(tmp_path / "s.mp4", [100] * 3), film(tmp_path / "d.mp4", [100] * 3)
    with pytest.raises(OptionError, match=r"s\.mp4: --whole-picture-as-face is for pictures"):
        talkinghead.reenact(source, driver, options=Options(CropOptions(whole_picture_as_face=True)), model=models)
    with pytest.raises(OptionError, match="outside the picture, which has 64×48"):
        talkinghead.reenact(source, driver, options=Options(CropOptions(box="90,0,5,5")), model=models)


def test_short_gaps_are_bridged_and_long_ones_are_not():
    here, there = np.zeros((478, 3), np.float32), np.full((478, 3), 4, np.float32)
    picture = np.zeros((1, 1, 3), np.uint8)
    short = [None, here, None, None, None, there]
    points = [found for _, found, _ in bridged(TrackedFrame(picture, each) for each in short)]
    assert points[0] is None and [float(each[0, 0]) for each in points[1:]] == [0, 1, 2, 3, 4]
    long = [found for _, found, _ in bridged(TrackedFrame(picture, each) for each in [here, *[None] * 20, there])]
    assert [each is None for each in long] == [False, *[True] * 20, False]


def test_a_variable_rate_becomes_steady():
    picture = np.zeros((1, 1, 3), np.uint8)
    times = [0, 1, 2, 4, 8, 8.4, 9]
    shown = steady((VideoFrame(picture, Fraction(time) / 25) for time in times), Fraction(25))
    assert [round(float(frame.seconds * 25), 1) for frame in shown] == [0, 1, 2, 2, 4, 4, 4, 4, 8.4, 9]
