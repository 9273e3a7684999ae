"""YAML scripts with speakers."""

from fractions import Fraction

import pytest

from talkinghead.errors import InputNotFoundError
from talkinghead.narrate.errors import ScriptError
from talkinghead.narrate.script import read_script

SPEAKERS = """
title: Two
layout: side-by-side
speakers:
  ada: {avatar: ada.png, voice: heart, background: "#102030", face: 1}
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
    assert read.lines[0].direction.strengths == {"lip_strength": 1.2}
    assert read.lines[3].direction.keyframes == {Fraction(1): {"yaw": 5}, Fraction(1, 2): {"smile": 0.6}}
    assert [chapter.title for chapter in read.chapters] == ["Hello", "Bye"]
    assert read.chapters[0].slide == tmp_path / "one.png" and read.layout == "side-by-side"
    ada = read.roles["ada"]
    assert (ada.avatar, ada.voice, ada.background, ada.face) == (tmp_path / "ada.png", "heart", "#102030", 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("script: [{eve: Hello.}]", r"item 1 of the script: 'eve' is neither a speaker \(ada, ben\)"),
        ("script: [{ada: Hi., smile: 1}]", "'smile' is neither a speaker"),
        ("script: [{ada: Hi., lip_strength: 9}]", "item 1 .* lip_strength is 9, it must be between 0 and 2"),
        ("script: [{ada: Hi., lip_strength: high}]", "item 1 of the script"),
        ("script: [{ada: Hi., keyframes: {0: {sneer: 1}}}]", "item 1 .* no slider is called 'sneer'"),
        ("script: [{ada: Hi., keyframes: {0: {smile: 7}}}]", "smile is 7"),
        ("script: [{pause: -1}]", "-1 is no time"),
        ("script: [7]", "must be a mapping"),
        ("script: [{chapter: One, ada: Hi.}]", "give 'ada' an item of its own"),
        ("script: ", "no list called script"),
        ("lines: []", "'lines' means nothing here"),
        ("script: [", "no YAML can be read"),
        ("script: [{pause: 1}]", "nothing in it to say"),
    ],
)
def test_mistakes_name_their_place(tmp_path, text, message):
    with pytest.raises(ScriptError, match=message):
        script(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputNotFoundError, match=r"two\.png: no such file; .*a\.yaml names it"):
        script(tmp_path, "script: [{slide: two.png}, {ada: Hi.}]")


def test_cut_is_full(tmp_path):
    (tmp_path / "b.yaml").write_text("layout: cut\nscript: [Hello.]")
    assert read_script(tmp_path / "b.yaml").layout == "full"
    (tmp_path / "b.yaml").write_text("layout: round\nscript: [Hello.]")
    with pytest.raises(ScriptError, match="layout 'round' is none of"):
        read_script(tmp_path / "b.yaml")
