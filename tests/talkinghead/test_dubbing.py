"""A video gets a new voice: frames, times, sound and what is refused, with stand-ins for the networks."""

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile
from fake_models import BrightnessTracker, TwoFaces, fake_models, mesh_at
from gray_videos import gray_level, gray_video

import talkinghead
from talkinghead import DubOptions, MotionOptions, Options, ProvenanceOptions, RenderOptions
from talkinghead.errors import AudioError, OptionError
from talkinghead.face import Face, FaceIndexError, NoFaceError
from talkinghead.media.audio import probe_sound, stream_frames
from talkinghead.media.video import read_frames
from talkinghead.source.face_track import fade

RATE = 16_000


class OneFace(TwoFaces):
    def detect(self, picture, *, thorough=True, threshold=0.75):
        return [Face(mesh_at(32, 24, 20), 40, 0.9)] if picture.mean() > 20 else []


@pytest.fixture
def models(brightness_tracker):
    return replace(fake_models(), faces=OneFace())


def tone(file, seconds, level=0.3):
    soundfile.write(file, level * np.sin(np.arange(round(seconds * RATE)) * 0.2), RATE)
    return file


def dub(source, voice, models, output=None, **asked):
    return talkinghead.speak(source, voice, output, options=Options(dub=DubOptions(**asked)), model=models)


def corners(frames):
    """Read which frame of the source is shown: far from the face it stays as it is."""
    return [round(float(frame[0, 0].mean())) for frame in frames]


def heard(file):
    return np.concatenate([frame.to_ndarray()[0] for frame in stream_frames(file, RATE, "mono")])


def test_only_the_mouth_changes_and_the_video_ends_with_the_voice(tmp_path, models):
    levels = [60 + 2 * n for n in range(50)]
    source = gray_video(tmp_path / "s.mp4", levels)
    video = dub(source, tone(tmp_path / "v.wav", 1.2), models)
    frames = list(video)
    assert len(video) == len(frames) == 30 and video.fps == 25 and frames[0].shape == (48, 64, 3)
    assert corners(frames) == pytest.approx(levels[:30], abs=2)
    assert [gray_level(frame) for frame in frames] == pytest.approx([2.55 * n for n in range(30)], abs=2)
    assert [gray_level(frame) for frame in video] == [gray_level(frame) for frame in frames]  # it plays again


class TalkingTracker(BrightnessTracker):
    """Sees a mouth that opens to 0.39 of its width in every bright frame."""

    def track(self, picture):
        points = super().track(picture)
        points[[13, 14, 61, 291], :2] = [(32, 30), (32, 30), (27, 30), (37, 30)]
        points[14, 1] += 3.9 * (picture.mean() > 100)
        return points


def test_lips_open_as_far_as_the_persons_in_the_video_do(tmp_path, models, monkeypatch):
    monkeypatch.setattr("talkinghead.source.video.FaceTracker", TalkingTracker)
    source, voice = gray_video(tmp_path / "s.mp4", [80, 80, 120] * 10), tone(tmp_path / "v.wav", 1.2)
    levels = [gray_level(frame) for frame in dub(source, voice, models)]
    assert levels == pytest.approx([1.2 * 2.55 * n for n in range(30)], abs=2)
    options = Options(motion=MotionOptions(lip_strength=2.0))  # 2.0 is the most
    levels = [gray_level(frame) for frame in talkinghead.speak(source, voice, options=options, model=models)]
    assert levels == pytest.approx([5.1 * n for n in range(30)], abs=2)


def test_a_longer_voice_plays_the_video_to_and_fro(tmp_path, models):
    levels = [60 + 4 * n for n in range(25)]
    source, voice = gray_video(tmp_path / "s.mp4", levels), tone(tmp_path / "v.wav", 2.0)
    shown = corners(dub(source, voice, models))
    assert len(shown) == 50 and max(shown[22:27]) == pytest.approx(156, abs=2) and shown[48] == pytest.approx(60, abs=2)
    assert corners(dub(source, voice, models, loop="hold"))[25:] == pytest.approx([156] * 25, abs=2)
    stretched = corners(dub(source, voice, models, loop="stretch"))
    assert stretched == pytest.approx(np.linspace(60, 156, 50), abs=4)
    with pytest.raises(OptionError, match=r"s\.mp4: lasts 1\.0 s, .*v\.wav 2\.0 s: give --loop"):
        dub(source, voice, models, loop="cut")


def test_the_rate_is_the_sources_unless_another_is_asked_for(tmp_path, models):
    fps = Fraction(30000, 1001)
    source, voice = gray_video(tmp_path / "s.mp4", [90] * 60, fps), tone(tmp_path / "v.wav", 1.0)
    made = dub(source, voice, models, tmp_path / "o.mp4")
    assert made.fps == fps and made.frames == 30
    with av.open(str(made.file)) as container:
        assert container.streams.video[0].average_rate == fps and container.streams.audio
    options = Options(render=RenderOptions(fps=50))
    assert len(talkinghead.speak(source, voice, options=options, model=models)) == 50


def test_only_a_part_is_dubbed(tmp_path, models):
    own = probe_sound(tone(tmp_path / "own.wav", 4.0, 0.1))
    source = gray_video(tmp_path / "s.mp4", [60 + n for n in range(100)], sound=own)
    made = dub(source, tone(tmp_path / "v.wav", 1.0), models, tmp_path / "o.mp4", start=1, end=3)
    assert made.frames == 100
    untouched = [frame.picture for frame in read_frames(source)]
    frames = list(dub(source, tmp_path / "v.wav", models, start=1, end=3))
    for n in (0, 24, 75, 99):
        assert np.array_equal(frames[n], untouched[n])
    assert gray_level(frames[24]) == pytest.approx(84, abs=2) and gray_level(frames[45]) == pytest.approx(51, abs=2)
    sound = np.abs(heard(made.file))
    assert sound[: RATE - 2000].max() == pytest.approx(0.1, abs=0.02)
    assert sound[RATE + 2000 : 2 * RATE - 2000].max() == pytest.approx(0.3, abs=0.03)
    assert sound[2 * RATE + 2000 : 3 * RATE - 2000].max() < 0.01
    assert sound[3 * RATE + 2000 : 4 * RATE - 2000].max() == pytest.approx(0.1, abs=0.02)


def test_a_part_from_the_very_beginning_keeps_the_length_too(tmp_path, models):
    source = gray_video(tmp_path / "s.mp4", [90] * 50)
    assert len(dub(source, tone(tmp_path / "v.wav", 0.4), models, start=0)) == 50
    assert len(dub(source, tmp_path / "v.wav", models)) == 10


def test_the_own_sound_stays_under_the_voice(tmp_path, models):
    own = probe_sound(tone(tmp_path / "own.wav", 2.0, 0.4))
    source = gray_video(tmp_path / "s.mp4", [90] * 50, sound=own)
    soundfile.write(tmp_path / "v.wav", np.zeros(RATE), RATE)
    made = dub(source, tmp_path / "v.wav", models, tmp_path / "o.mp4", keep_background=0.25)
    assert np.abs(heard(made.file)[2000:-2000]).max() == pytest.approx(0.1, abs=0.02)
    with pytest.raises(AudioError, match=r"t\.mp4: has no sound that could be kept"):
        dub(gray_video(tmp_path / "t.mp4", [90] * 9), tmp_path / "v.wav", models, keep_background=1)


def test_two_faces_have_two_voices(tmp_path, brightness_tracker):
    source = gray_video(tmp_path / "s.mp4", [90] * 10, size=(240, 320))
    voices = {0: tone(tmp_path / "a.wav", 0.4), 1: tone(tmp_path / "b.wav", 0.2)}
    models = fake_models()
    video = dub(source, voices, models)
    assert len(list(video)) == len(video) == 10
    assert video.sound.seconds == Fraction(2, 5) and len(video.sound.layers) == 2
    with pytest.raises(FaceIndexError, match=r"s\.mp4, frame 1: shows 2 large faces: .* --face 0 or --face 1"):
        dub(source, voices[0], models)


def test_frames_without_the_face_pass_and_are_reported(tmp_path, models):
    source = gray_video(tmp_path / "s.mp4", [100] * 12 + [10] * 6 + [100] * 12)
    video = dub(source, tone(tmp_path / "v.wav", 1.2), models)
    levels = [gray_level(frame) for frame in video]
    assert levels[12:18] == pytest.approx([10] * 6, abs=2)
    assert levels[6] == pytest.approx(15, abs=2) and levels[25] == pytest.approx(64, abs=2)
    (note,) = video.notes
    assert "no face to animate in 6 of 30 frames, first at 0.5 s" in note


def test_the_mouth_fades_where_the_face_is_lost_and_at_the_ends_of_a_part():
    seen = np.ones(12, bool)
    seen[6] = False
    assert fade(seen, range(12)).tolist() == [1, 1, 1, 0.75, 0.5, 0.25, 0, 0.25, 0.5, 0.75, 1, 1]
    assert fade(np.ones(5, bool), range(5)).tolist() == [1] * 5
    assert fade(np.ones(6, bool), range(1, 3)).tolist() == [0, 0.25, 0.25, 0, 0, 0]


def test_what_does_not_fit(tmp_path, models):
    source, voice = gray_video(tmp_path / "s.mp4", [90] * 50), tone(tmp_path / "v.wav", 1.5)
    with pytest.raises(OptionError, match=r"v\.wav: lasts 1\.5 s, the part to dub 1\.0 s"):
        dub(source, voice, models, start=1)
    with pytest.raises(OptionError, match="--from 3 is after its end"):
        dub(source, voice, models, start=3)
    with pytest.raises(OptionError, match=r"^from is -1"):  # as users call it
        DubOptions(start=-1)
    with pytest.raises(OptionError, match="--from 2 --to 1 is no part"):
        DubOptions(start=2, end=1)
    with pytest.raises(OptionError, match="leave one out"):
        DubOptions(start=2, loop="hold")
    with pytest.raises(NoFaceError, match="no face in the part to dub"):
        dub(gray_video(tmp_path / "t.mp4", [90] * 30 + [0] * 60), tone(tmp_path / "w.wav", 0.5), models, start=2)
    with pytest.raises(OptionError, match="--reference is for pictures"):
        talkinghead.speak(source, voice, options=Options(motion=MotionOptions(reference=str(source))), model=models)


def test_what_pictures_cannot_do(tmp_path, models):
    picture, voice = np.full((64, 64, 3), 90, np.uint8), tone(tmp_path / "v.wav", 0.2)
    with pytest.raises(OptionError, match="--from is for videos, this is a picture"):
        dub(picture, voice, models, start=1)
    with pytest.raises(OptionError, match="several voices are for videos"):
        dub(picture, {0: voice, 1: voice}, models)


def test_what_is_not_dubbed_is_copied(tmp_path, models):
    """A part of the second of three groups of pictures is dubbed, once alone and once with a label on everything."""
    source = tmp_path / "s.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "10", "crf": "1", "sc_threshold": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for n in range(30):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 60 + n, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    voice = tone(tmp_path / "v.wav", 0.2)
    summary = dub(source, voice, models, tmp_path / "o.mp4", start=0.44, end=0.72)
    assert summary.frames == 30 and not summary.notes
    old, new = pictures_coded(source), pictures_coded(tmp_path / "o.mp4")
    assert [a == b for a, b in zip(old, new, strict=True)] == [True] * 10 + [False] * 10 + [True] * 10
    levels = [gray_level(frame.picture) for frame in read_frames(tmp_path / "o.mp4")]
    changed = {n for n, level in enumerate(levels) if abs(level - 60 - n) > 3}
    assert changed and changed <= set(range(11, 18))
    options = Options(dub=DubOptions(start=0.44, end=0.72), provenance=ProvenanceOptions(label="AI"))
    summary = talkinghead.speak(source, voice, tmp_path / "l.mp4", options=options, model=models)
    assert "label" in summary.notes[0]


def pictures_coded(file):
    with av.open(str(file)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]
