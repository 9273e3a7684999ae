"""What a voice cannot read."""

from dataclasses import replace

import pytest

from talkinghead.narration.errors import ScriptError
from talkinghead.narration.script import NARRATOR, Line, Script, Slot
from talkinghead.narration.writing_systems import fit_to_voices, unread_words


@pytest.fixture
def english(hum):
    hum.reads = ("LATIN",)
    return {NARRATOR: hum}


def script(tmp_path, *texts):
    return Script(tmp_path / "a.txt", tuple(Line(text) for text in texts))


@pytest.mark.parametrize(
    ("text", "system"),
    [
        ("Γειά σου Κόσμε.", "Greek"),
        ("Привет, мир.", "Cyrillic"),
        ("مرحبا بالعالم.", "Arabic"),
        ("שלום עולם.", "Hebrew"),
        ("สวัสดีชาวโลก", "Thai"),
        ("你好。", "Chinese characters"),
        ("こんにちは。", "Japanese"),
        ("안녕하세요.", "Korean"),
        ("नमस्ते दुनिया।", "Devanagari"),
        ("Γειά Привет hello.", "Cyrillic and Greek"),
        ("5 яблок.", "Cyrillic"),
    ],
)
def test_scripts_that_cannot_be_read_are_refused(tmp_path, english, text, system):
    with pytest.raises(ScriptError) as raised:
        fit_to_voices(script(tmp_path, "Hello.", text), english)
    message = str(raised.value)
    assert f"a.txt: sentence 2 ({text!r}) is written in {system}, which its voice cannot read" in message
    assert "--tts-command" in message and len(message) - len(str(tmp_path)) < 280


def test_a_cue_is_called_a_cue_and_a_long_one_is_shortened(tmp_path, english):
    read = Script(tmp_path / "a.srt", (Line("слово " * 50, slot=Slot(0, 1)),))
    with pytest.raises(ScriptError, match=r"cue 1 \('слово[^']{34}…'\) is written in Cyrillic"):
        fit_to_voices(read, english)


@pytest.mark.parametrize(
    "text",
    [
        "Café naïve Łódź Việt ﬁne.",
        "The π of 3 μm, Δx, β-carotene and 20 °C.",
        "Ｗｉｄｅ ½ № x² ʻokina 😀 “—”.",
        "٣ of 5",
    ],
)
def test_what_can_be_read(tmp_path, english, text):
    read = script(tmp_path, text)
    assert fit_to_voices(read, english) is read


def test_single_words_are_left_out_with_a_note(tmp_path, english):
    read = fit_to_voices(script(tmp_path, "The word λόγος, or Логос, means reason.", "So λόγος, it is."), english)
    assert [line.text for line in read.lines] == ["The word or means reason.", "So it is."]
    assert read.notes == (
        f"{tmp_path / 'a.txt'}: Cyrillic and Greek cannot be read by the voice, so these words are left out of speech "
        "and captions: λόγος, Логос,",
    )


def test_voices_that_do_not_say_what_they_read_are_trusted(tmp_path, hum):
    read = script(tmp_path, "Привет, мир.")
    assert fit_to_voices(read, {NARRATOR: hum}) is read and unread_words("Привет", None) == []


def test_nothing_is_spoken_before_all_is_checked(tmp_path, english):
    read = replace(script(tmp_path, "Hello."), lines=(Line("Hello."), Line(""), Line("Мир.")))
    with pytest.raises(ScriptError, match="sentence 3"):
        fit_to_voices(read, english)
