"""YAML scripts with speakers."""

from fractions import Fraction

import pytest

from talkinghead.errors import InputNotFoundError
from talkinghead.narration.errors import ScriptError
from talkinghead.narration.read import read_script

SPEAKERS = """
title: Two
layout: side-by-side
speakers:
  ada: {source: ada.png, voice: heart, background: "#102030", face: 1}
  ben: {}
"""


def script(tmp_path, text):
    (tmp_path / "ada.png").touch()
    (tmp_path / "one.png").touch()
    (tmp_path / "a.yaml").write_text(SPEAKERS + text)
    return read_script(tmp_path / "a.yaml")


def test_who_says_what(tmp_path):
    read = script(
        tmp_path,
        """
script:
  - chapter: Hello
    slide: one.png
  - ada: Hello, Ben. How are you?
    lip_strength: 1.2
    pause: 0.1
  - pause: 2
  - ben: Fine.
    keyframes: {1: {yaw: 5}, 0.5: {smile: 0.6}}
  - chapter: Bye
  - And still Ben.
""",
    )
    assert [(line.speaker, line.text, line.pause, line.chapter) for line in read.lines] == [
        ("ada", "Hello, Ben.", None, 0),
        ("ada", "How are you?", 0.1, 0),
        ("ada", "", 2.0, 0),
        ("ben", "Fine.", None, 0),
        ("ben", "And still Ben.", None, 1),
    ]
    assert read.lines[0].delivery.strengths == {"lip_strength": 1.2}
    assert read.lines[3].delivery.keyframes == {Fraction(1): {"yaw": 5}, Fraction(1, 2): {"smile": 0.6}}
    assert [chapter.title for chapter in read.chapters] == ["Hello", "Bye"]
    assert read.chapters[0].slide == tmp_path / "one.png" and read.layout == "side-by-side"
    ada = read.speakers["ada"]
    assert (ada.source, ada.voice, ada.background, ada.face) == (tmp_path / "ada.png", "heart", "#102030", 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("script: [{eve: Hello.}]", r"line 7: script, item 1: 'eve' is neither a speaker \(ada, ben\)"),
        ("script: [{ada: Hi., smile: 1}]", "'smile' is neither a speaker"),
        ("script: [{ada: Hi., ben: Ho.}]", "'nobody' is neither a speaker"),
        ("script: [{ada: Hi., lip_strength: 9}]", "item 1: lip_strength is 9, it must be between 0 and 2"),
        ("script: [{ada: Hi., lip_strength: high}]", "item 1: lip_strength 'high' is not a number"),
        ("script: [{ada: Hi., seed: 1.5}]", "item 1: seed '1.5' is not a whole number"),
        ("script: [{ada: Hi., blink: maybe}]", "item 1: blink is 'maybe', it must be true or false"),
        ("script:\n- Hi.\n- {ada: Hi., keyframes: {0: {sneer: 1}}}", "line 9: .* no slider is called 'sneer'"),
        ("script: [{ada: Hi., keyframes: {0: {smile: 7}}}]", "item 1, keyframes, 0: smile is 7"),
        ("script: [{ada: Hi., keyframes: {1e12: {smile: 1}}}]", "time is 1e12"),
        ("script: [{ada: Hi., keyframes: {4000: {smile: 1}}}]", "keyframes of a line go to 3600 s at most"),
        ("script: [{ada: Hi., keyframes: [1]}]", "keyframes: must be a mapping of names to values, not a list"),
        ("script: [{pause: -1}]", "item 1: pause is -1, it must be between 0 and 600"),
        ("script: [{pause: 1:30}]", "item 1: pause '1:30' is not a number"),
        ("script: [{pause: .inf}]", "item 1: pause '.inf' is not a number"),
        ("script: [[7]]", "item 1: must be a text, or a mapping"),
        ("script: [{ada: [a, b]}]", "item 1: must be text, not a list"),
        ("script: [{ada: }]", "item 1: must be text, not nothing"),
        ("script: [{chapter: One, ada: Hi.}]", "item 1: ada means nothing here; it may say chapter, slide"),
        ("script: [{chapter: One, slide: [x]}]", "item 1, slide: must be text, not a list"),
        ("script: ", "line 7: script: must be a list, not nothing"),
        ("script: []", "script: is empty"),
        ("lines: []", "line 7: lines means nothing here; it may say layout, script, speakers, title"),
        ("script: [", "no YAML can be read"),
        ("script: [{pause: 1}]", "nothing in it to say"),
    ],
)
def test_mistakes_name_their_place(tmp_path, text, message):
    with pytest.raises(ScriptError, match=message):
        script(tmp_path, text)


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ("tts_command: sh -c id", "line 2: speakers, ada: tts_command: a script may not name a program to run"),
        ("source: [a.png]", "speakers, ada, source: must be text, not a list"),
        ("voice: [heart]", "speakers, ada, voice: must be text, not a list"),
        ("background: {a: b}", "speakers, ada, background: must be text, not a mapping"),
        ("face: x", "speakers, ada: face 'x' is not a whole number"),
        ("face: -1", "face is -1, it must be between 0 and 1000"),
        ("face: 0.5", "face '0.5' is not a whole number"),
        ("mood: 1", "line 2: speakers, ada: mood means nothing here; it may say background, face, source, voice"),
    ],
)
def test_speakers_that_are_wrong(tmp_path, about, message):
    (tmp_path / "a.yaml").write_text(f"speakers:\n  ada: {{{about}}}\nscript:\n- Hi.\n")
    with pytest.raises(ScriptError, match=message):
        read_script(tmp_path / "a.yaml")


def test_plain_texts_stay_as_they_are_written(tmp_path):
    (tmp_path / "a.yaml").write_text("title: 1_000\nscript:\n- chapter: 2024-02-29\n- No\n- narrator: 010 on\n")
    read = read_script(tmp_path / "a.yaml")
    assert read.title == "1_000" and read.chapters[0].title == "2024-02-29"
    assert [line.text for line in read.lines] == ["No", "010 on"]


def test_files_are_named_as_seen_from_the_script(tmp_path, monkeypatch):
    (tmp_path / "clip.mp4").touch()
    (tmp_path / "voice.onnx").touch()
    (tmp_path / "wall.png").touch()
    read = script(
        tmp_path,
        "  eve: {voice: 'piper:voice.onnx', background: wall.png}\nscript: [{ada: Hi., reference: clip.mp4}]",
    )
    assert read.lines[0].delivery.strengths == {"reference": str(tmp_path / "clip.mp4")}
    eve = read.speakers["eve"]
    assert (eve.voice, eve.background) == (f"piper:{tmp_path / 'voice.onnx'}", str(tmp_path / "wall.png"))
    with pytest.raises(InputNotFoundError, match=r"none\.mp4: no such file"):
        script(tmp_path, "script: [{ada: Hi., reference: /none.mp4}]")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputNotFoundError, match=r"two\.png: no such file; .*a\.yaml names it"):
        script(tmp_path, "script: [{slide: two.png}, {ada: Hi.}]")


def test_cut_is_full(tmp_path):
    (tmp_path / "b.yaml").write_text("layout: cut\nscript: [Hello.]")
    assert read_script(tmp_path / "b.yaml").layout == "full"
    (tmp_path / "b.yaml").write_text("layout: round\nscript: [Hello.]")
    with pytest.raises(ScriptError, match="layout 'round' is none of"):
        read_script(tmp_path / "b.yaml")


def test_a_portrait_may_be_called_by_its_former_names(tmp_path):
    (tmp_path / "ada.png").touch()
    for name in ("avatar", "image"):
        (tmp_path / "a.yaml").write_text(f"speakers: {{ada: {{{name}: ada.png}}}}\nscript:\n- Hi.\n")
        assert read_script(tmp_path / "a.yaml").speakers["ada"].source == tmp_path / "ada.png"
    (tmp_path / "a.yaml").write_text("speakers: {ada: {avatar: ada.png, source: ada.png}}\nscript:\n- Hi.\n")
    with pytest.raises(ScriptError, match="avatar means nothing here"):
        read_script(tmp_path / "a.yaml")
