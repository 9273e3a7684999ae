"""A video is dubbed from subtitles: what is heard and shown when, and what is refused."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import soundfile
from fake_models import mesh_at
from gray_videos import gray_level, gray_video

from talkinghead import ProvenanceOptions, RenderOptions
from talkinghead.errors import OptionError
from talkinghead.face import Face, NoFaceError
from talkinghead.media.audio import probe_sound, stream_frames
from talkinghead.media.video import read_frames
from talkinghead.narration.dubbed import spoken_parts
from talkinghead.narration.errors import ScriptError
from talkinghead.narration.narrate import narrate
from talkinghead.narration.options import CaptionOptions, NarrationOptions, SceneOptions, VoiceOptions
from talkinghead.narration.script import Line
from talkinghead.narration.speech import LEAD
from talkinghead.narration.timeline import Shot

RATE = 16_000
SUBTITLES = "1\n00:00:01,000 --> 00:00:02,000\nHello there.\n\n2\n00:00:03,200 --> 00:00:03,900\nGood bye.\n"


@pytest.fixture
def networks(video_models, models, monkeypatch):
    monkeypatch.setattr(video_models.faces, "detect", lambda *_, **__: [Face(mesh_at(32, 24, 20), 40, 0.9)])
    return replace(models, faces=video_models.faces)


@pytest.fixture
def film(tmp_path):
    """Five seconds, each frame a little lighter than the one before, with a quiet tone."""
    soundfile.write(tmp_path / "own.wav", 0.1 * np.sin(np.arange(5 * RATE) * 0.2), RATE)
    return gray_video(tmp_path / "s.mp4", [60 + n for n in range(125)], sound=probe_sound(tmp_path / "own.wav"))


@pytest.fixture
def dub(tmp_path, hum, networks, film):
    def dub(text=SUBTITLES, name="out.mp4", **parts):
        (tmp_path / "film.srt").write_text(text)
        parts.setdefault("provenance", ProvenanceOptions(c2pa=False, watermark=False))
        options = NarrationOptions(render=RenderOptions(overwrite=True), **parts)
        return narrate(film, tmp_path / "film.srt", tmp_path / name, options=options, model=networks)

    return dub


def test_cues_are_spoken_at_their_times_over_the_ducked_sound(tmp_path, dub, hum):
    made = dub(voice=VoiceOptions(keep_background=0.2))
    assert hum.said == ["Hello there.", "Good bye."] and made.frames == 125 and (made.width, made.height) == (64, 48)
    sound = np.abs(np.concatenate([frame.to_ndarray()[0] for frame in stream_frames(made.file, RATE, "mono")]))

    def loudest(start, end):
        return sound[int(start * RATE) : int(end * RATE)].max()

    assert loudest(0.1, 0.7) == pytest.approx(0.1, abs=0.02) and loudest(2.0, 2.8) == pytest.approx(0.1, abs=0.02)
    assert loudest(0.9, 0.98) == pytest.approx(0.02, abs=0.01) and loudest(1.1, 1.5) == pytest.approx(0.31, abs=0.03)
    assert loudest(3.3, 3.6) > 0.25 and loudest(4.2, 4.9) == pytest.approx(0.1, abs=0.02)
    captions = (tmp_path / "out.srt").read_text()
    assert "00:00:01,000 --> 00:00:01,600\nHello there." in captions


def test_only_spoken_frames_change_and_none_is_moved(dub, film):
    made = [frame.picture for frame in read_frames(dub().file)]
    own = [frame.picture for frame in read_frames(film)]
    changed = [n for n in range(125) if abs(gray_level(made[n]) - gray_level(own[n])) > 3]
    assert changed and all(20 < n < 45 or 75 < n < 98 for n in changed)
    assert [made[n][0, 0, 0] for n in range(125)] == pytest.approx([own[n][0, 0, 0] for n in range(125)], abs=2)


def test_short_breaks_between_cues_stay_dubbed():
    shots = [Shot(Line("a"), 0, 50, "a.wav", LEAD, Fraction(1)), Shot(Line("b"), 50, 50, "b.wav", LEAD, Fraction(1))]
    shots[1] = replace(shots[1], start=35)
    (part,) = spoken_parts(shots, Fraction(25))
    assert part.start == 0 and part.end == Fraction(35, 25) + LEAD + 1 + LEAD
    assert len(spoken_parts([shots[0], replace(shots[1], start=75)], Fraction(25))) == 2


def test_what_does_not_fit_is_refused_in_one_line(dub):
    with pytest.raises(ScriptError, match=r"a cue begins at 9\.0 s .*s\.mp4 ends at 5\.0 s"):
        dub(SUBTITLES.replace("03,200", "09,000").replace("03,900", "09,900"))
    with pytest.raises(OptionError, match="keeps its pictures"):
        dub(scene=SceneOptions(background="#203040"))
    with pytest.raises(OptionError, match="keeps its pictures"):
        dub(captions=CaptionOptions(burn=True))
    with pytest.raises(OptionError, match=r"is an mp4: give a name"):
        dub(name="out.webm")


def test_nothing_is_spoken_for_a_video_without_a_face(dub, hum, networks, monkeypatch):
    monkeypatch.setattr(networks.faces, "detect", lambda *_, **__: [])
    with pytest.raises(NoFaceError, match=r"s\.mp4: no face in its 125 frames"):
        dub()
    assert not hum.said


def test_a_sound_that_is_not_there_is_not_kept(tmp_path, networks):
    gray_video(tmp_path / "silent.mp4", [90] * 25)
    (tmp_path / "film.srt").write_text(SUBTITLES)
    (tmp_path / "script.txt").write_text("Hello there.")
    options = NarrationOptions(voice=VoiceOptions(keep_background=0.3))
    for script in ("film.srt", "script.txt"):
        with pytest.raises(OptionError, match=r"silent\.mp4: --keep-background"):
            narrate(tmp_path / "silent.mp4", tmp_path / script, tmp_path / "o.mp4", options=options, model=networks)
    assert not (tmp_path / "o.mp4.work").exists()
