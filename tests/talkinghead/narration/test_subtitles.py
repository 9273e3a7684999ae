"""SRT and WebVTT as they are found."""

import pytest

from talkinghead.narration.errors import ScriptError
from talkinghead.narration.read import read_script
from talkinghead.narration.script import Slot


def script(tmp_path, name, text):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_script(tmp_path / name)


def cues(read):
    return [(line.text, line.slot.start, line.slot.end) for line in read.lines]


SRT = "1\n00:00:01,000 --> 00:00:02,500\nHello <i>there</i>\nyou.\n\n2\n00:00:02,500 --> 00:00:04,000\nBye.\n"
EXPECTED = [("Hello there you.", 1.0, 2.5), ("Bye.", 2.5, 4.0)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.srt", SRT),
        ("a.vtt", "WEBVTT\n\n" + SRT.replace(",", ".")),
        ("a.srt", "\ufeff" + SRT.replace("\n", "\r\n").rstrip()),
        ("a.srt", SRT.encode("utf-16")),
        ("a.srt", SRT.replace("\n\n", "\n").replace(",000", "").replace("00:00:", "0:")),
        (
            "a.srt",
            SRT.replace("Hello", r"{\an8}Hello").replace("\nyou", r"\Nyou").replace("2,500\n", "2,500 X1:1 Y1:2\n"),
        ),
        ("a.srt", SRT.replace("\nyou", "\n\nyou")),
    ],
)
def test_subtitles_keep_their_words_and_times(tmp_path, name, text):
    read = script(tmp_path, name, text)
    assert cues(read) == EXPECTED and read.timed and not read.notes


VTT = """WEBVTT - made by a meeting
Kind: captions

STYLE
::cue { color: red }

REGION
id:one

NOTE not said

0f8fad5b-d9cb-469f-a165-70867728950e/3-0
00:01.000 --> 00:02.000 align:start
<v Jane Doe>Good <c.yellow>morning</c> &amp; <b>welcome</b>.</v>

intro
00:03.000 --> 00:04.000
&gt;&gt; The <ruby>word<rt>reading</rt></ruby> &lt;b&gt;, 3 < 5.

NOTE
more of it
that is not said

100:00:00.000 --> 100
00:05.000 --> 00:06.000
1984
"""


def test_webvtt_shows_the_words_alone(tmp_path):
    read = script(tmp_path, "a.vtt", VTT)
    assert cues(read) == [
        ("Good morning & welcome.", 1.0, 2.0),
        ("The word <b>, 3 < 5.", 3.0, 4.0),
        ("1984", 5.0, 6.0),
    ]
    assert "left out: 1, first in line 24" in read.notes[0]


@pytest.mark.parametrize(
    ("silent", "left"),
    [
        ("♪ ♪", ""),
        ("♪ la la la ♪", ""),
        ("♪ la la ♪\nHello.", "Hello."),
        ("[Music]", ""),
        ("(door\nslams)", ""),
        ("(Yes.)", "(Yes.)"),
        ("[laughs] Hello [he\nleaves] you.", "Hello you."),
        ("...", ""),
    ],
)
def test_sounds_and_songs_are_silent(tmp_path, silent, left):
    read = script(tmp_path, "a.srt", SRT.replace("Bye.", silent))
    assert [line.text for line in read.lines] == ["Hello there you.", *([left] if left else [])]


def srt(*given):
    def clock(seconds):
        sign, left = "-" if seconds < 0 else "", round(abs(seconds) * 1000)
        return f"{sign}{left // 3_600_000:02}:{left // 60_000 % 60:02}:{left % 60_000 / 1000:06.3f}"

    return "".join(f"{n}\n{clock(a)} --> {clock(b)}\n{text}\n\n" for n, (a, b, text) in enumerate(given, 1))


def test_times_that_are_not_as_they_should_be(tmp_path):
    text = srt(
        (4, 5.01, "Two."), (5, 6, "Three."), (-1, 2, "One."), (7, 7, "Never."), (9, 8, "Never."), (5.05, 5.5, "Too.")
    )
    read = script(tmp_path, "a.srt", text)
    assert cues(read) == [("One.", 0, 2), ("Two.", 4, 5), ("Three. Too.", 5, 6)]
    assert "left out: 2, first in line 14" in read.notes[0]


blank = " "
ROLLING = f"""WEBVTT
Kind: captions
Language: en

00:00:00.160 --> 00:00:02.389 align:start position:0%
{blank}
hello<00:00:00.480><c> and</c><00:00:00.640><c> welcome</c>

00:00:02.389 --> 00:00:02.399 align:start position:0%
hello and welcome
{blank}

00:00:02.399 --> 00:00:04.470 align:start position:0%
hello and welcome
no<00:00:02.720><c> no</c>

00:00:04.470 --> 00:00:04.480 align:start position:0%
no no
{blank}

00:00:04.480 --> 00:00:06.000 align:start position:0%
no no
no<00:00:04.720><c> no</c>
"""


def test_rolling_captions_are_read_once(tmp_path):
    expected = [("hello and welcome", 0.16, 2.389), ("no no", 2.399, 4.47), ("no no", 4.48, 6.0)]
    assert cues(script(tmp_path, "a.vtt", ROLLING)) == expected
    converted = srt(
        (0.16, 2.389, "hello and welcome"),
        (2.389, 2.399, "hello and welcome"),
        (2.399, 4.47, "hello and welcome\nno no"),
        (4.47, 4.48, "no no"),
        (4.48, 6, "no no\nno no"),
    )
    assert cues(script(tmp_path, "a.srt", converted)) == expected


def test_what_is_said_twice_is_read_twice(tmp_path):
    read = script(tmp_path, "a.srt", srt((0, 1, "No."), (1, 2, "No."), (2, 3, "Why?"), (3, 4, "Why?"), (4, 5, "So.")))
    assert [line.text for line in read.lines][:2] == ["No.", "No."]


def test_a_very_long_cue_is_several_lines(tmp_path):
    lines = script(tmp_path, "a.srt", srt((10, 40, "word " * 500))).lines
    assert len(lines) == 3 and lines[0].slot.start == 10 and lines[-1].slot == Slot(lines[1].slot.end, 40)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no subtitles", "no cue with a usable time"),
        (srt((5, 4, "Hi.")), "no cue with a usable time"),
        (srt((0, 1, "♪")), "nothing in it to say"),
        (srt((86_400, 86_402, "Hi.")), "its last cue ends after 24.0 hours; a narration has 12 at most"),
        ("1\n99999:00:00,000 --> 99999:00:01,000\nHi.\n", "ends after 99,999.0 hours"),
    ],
)
def test_what_are_no_subtitles(tmp_path, text, message):
    with pytest.raises(ScriptError, match=message):
        script(tmp_path, "a.srt", text)


@pytest.mark.parametrize(
    "text", ["<" * 200_000, "{\\" * 100_000, "<rt>" * 50_000, "[" * 200_000, "(" * 200_000, ">" * 200_000]
)
def test_no_cue_takes_long(tmp_path, text):
    assert len(script(tmp_path, "a.srt", srt((0, 1, "Hi."), (2, 3, text))).lines) >= 1
