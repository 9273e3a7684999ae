"""When lines are shown and spoken, and which captions are shown meanwhile."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import soundfile

from talkinghead.narration.captions import cues_of, split_caption, write_captions
from talkinghead.narration.options import VoiceOptions
from talkinghead.narration.script import Chapter, Line, Script, Slot
from talkinghead.narration.speech import RATE, Spoken
from talkinghead.narration.timeline import Shot, chapter_bounds, lay_out, write_soundtrack

FPS = Fraction(25)


def spoken(tmp_path, seconds, **about):
    file = tmp_path / f"{seconds}.wav"
    soundfile.write(file, np.full(round(seconds * RATE), 0.25), RATE, subtype="PCM_16")
    return Spoken(Line("x" * 10, **about), file, Fraction(seconds).limit_denominator(1000))


def test_lines_follow_each_other_with_their_pauses(tmp_path):
    parts = [
        spoken(tmp_path, 1.0),
        spoken(tmp_path, 1.0, ends_paragraph=True),
        spoken(tmp_path, 1.0, pause=0.0),
        Spoken(Line("", pause=2.0), None, Fraction(0)),
        spoken(tmp_path, 1.0),
        spoken(tmp_path, 1.0, chapter=1),
    ]
    options = VoiceOptions(sentence_pause=0.4, paragraph_pause=0.6, chapter_pause=1.0)
    shots = lay_out(Script(tmp_path, tuple(part.line for part in parts)), parts, FPS, options)
    # 0.16 s before each line, then the line, then its pause, in whole frames
    assert [shot.frames for shot in shots] == [39, 44, 29, 50, 54, 44]
    assert [shot.start for shot in shots] == [0, 39, 83, 112, 162, 216]
    assert shots[1].spoken(FPS) == (Fraction(39, 25) + Fraction(4, 25), Fraction(43, 25) + 1)


def test_timed_lines_begin_at_their_times(tmp_path):
    parts = [spoken(tmp_path, 0.5, slot=Slot(1.0, 2.0)), spoken(tmp_path, 0.75, slot=Slot(2.01, 3.0))]
    for fps in (FPS, Fraction(30000, 1001)):
        shots = lay_out(Script(tmp_path, tuple(part.line for part in parts)), parts, fps, VoiceOptions())
        assert [shot.line.text for shot in shots] == ["", "x" * 10, "x" * 10]
        assert [shot.end for shot in shots[:-1]] == [shot.start for shot in shots[1:]] and shots[0].start == 0
        assert [float(shot.spoken(fps)[0]) for shot in shots[1:]] == pytest.approx([1.0, 2.01], abs=1e-9)


@pytest.mark.parametrize("fps", [FPS, Fraction(24000, 1001)])
def test_the_soundtrack_is_as_long_as_the_picture(tmp_path, fps):
    parts = [spoken(tmp_path, 0.5), spoken(tmp_path, 0.75)]
    shots = lay_out(Script(tmp_path, tuple(part.line for part in parts)), parts, fps, VoiceOptions())
    write_soundtrack(tmp_path / "all.wav", shots, fps)
    samples, rate = soundfile.read(tmp_path / "all.wav")
    assert len(samples) == round(shots[-1].end / fps * RATE)
    starts = np.flatnonzero(np.diff((samples > 0.1).astype(int)) == 1) + 1
    assert starts / rate == pytest.approx([float(shot.spoken(fps)[0]) for shot in shots], abs=1 / rate)


def test_chapters_have_bounds_if_they_have_titles(tmp_path):
    shots = [Shot(Line("a"), 0, 10), Shot(Line("b", chapter=1), 10, 5), Shot(Line("c", chapter=1), 15, 5)]
    assert chapter_bounds(shots, (Chapter(), Chapter("Two"))) == [("Two", 10, 20)]


def test_captions_are_short_and_even():
    assert split_caption("Short.") == ["Short."] and split_caption("") == []
    parts = split_caption("word " * 30)
    assert len(parts) == 2 and all(len(line) <= 42 for part in parts for line in part.splitlines())
    lengths = [len(line) for part in parts for line in part.splitlines()]
    assert max(lengths) - min(lengths) <= 10
    assert " ".join(" ".join(parts).split()) == ("word " * 30).strip()


def test_captions_hold_every_word_at_its_time(tmp_path):
    text = "word " * 29 + "end"
    shots = [Shot(Line(text), 25, 100, None, Fraction(1, 5), Fraction(3)), Shot(Line(""), 125, 10)]
    cues = list(cues_of(shots, FPS))
    assert cues[0].start == Fraction(6, 5) and cues[-1].end == Fraction(21, 5)
    assert all(before.end == after.start for before, after in pairwise(cues))
    assert " ".join(" ".join(cue.text for cue in cues).split()) == text


def test_caption_files(tmp_path):
    shots = [Shot(Line("Curly {braces} & <tags>."), 0, 50, None, Fraction(0), Fraction(3, 2))]
    srt, vtt = write_captions(tmp_path / "a.mp4", list(cues_of(shots, FPS)))
    assert srt.read_text() == "1\n00:00:00,000 --> 00:00:01,500\nCurly (braces) & <tags>.\n\n"
    assert vtt.read_text().startswith("WEBVTT\n\n") and "00:00:00.000 --> 00:00:01.500" in vtt.read_text()
