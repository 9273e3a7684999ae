"""Scripts as people write them: text, Markdown and subtitles."""

import pytest

from talkinghead.errors import InputNotFoundError
from talkinghead.narrate.errors import ScriptError
from talkinghead.narrate.plain import sentences
from talkinghead.narrate.script import Chapter, Slot, read_script


def script(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_script(tmp_path / name)


def said(read):
    return [line.text for line in read.lines]


@pytest.mark.parametrize(
    ("paragraph", "expected"),
    [
        ("One. Two!\nThree?", ["One.", "Two!", "Three?"]),
        ("Dr. Smith has 3.5 apples. Really.", ["Dr. Smith has 3.5 apples.", "Really."]),
        ("你好。再见！", ["你好。", "再见！"]),
        ("See https://www.example.com/a/b?c=1. And www.foo.org/.", ["See example.com.", "And foo.org."]),
        ("--- ... ***", []),
    ],
)
def test_sentences(paragraph, expected):
    assert sentences(paragraph) == expected


def test_empty_lines_end_paragraphs(tmp_path):
    read = script(tmp_path, "a.txt", "One. Two.\n\nThree\nfour.\n")
    assert said(read) == ["One.", "Two.", "Three four."]
    assert [line.ends_paragraph for line in read.lines] == [False, True, True]


MARKDOWN = """---
author: somebody
---
# The course

It *begins* with [words](https://example.com) and `code`.

## Empty

## Part **two**

```python
never = "read"
```

- One thing
- ![a picture](a.png) another

| not | read |
|-----|------|
| 1   | 2    |

<div>not read</div>

The end.

---
"""


def test_markdown_reads_what_can_be_read(tmp_path):
    read = script(tmp_path, "a.md", MARKDOWN)
    assert said(read) == ["It begins with words and code.", "One thing", "another", "The end."]
    assert read.chapters == (Chapter("The course"), Chapter("Part two")) and read.title == "The course"
    assert [line.chapter for line in read.lines] == [0, 1, 1, 1]
    assert [line.pause for line in read.lines] == [None, None, None, 1.5]


def test_the_title_is_the_highest_heading(tmp_path):
    assert script(tmp_path, "a.md", "## Before\n\nHi.\n\n# Title\n\nHo.").title == "Title"


SRT = "1\n00:00:01,000 --> 00:00:02,500\nHello <i>there</i>\nyou.\n\n2\n00:00:02,500 --> 00:00:04,000\nBye.\n"


def test_subtitles_keep_their_times(tmp_path):
    for name, text in (("a.srt", SRT), ("a.vtt", "WEBVTT\n\n" + SRT.replace(",", "."))):
        read = script(tmp_path, name, text)
        assert said(read) == ["Hello there you.", "Bye."] and read.timed
        assert [line.slot for line in read.lines] == [Slot(1.0, 2.5), Slot(2.5, 4.0)]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", " \n\n -- \n", "nothing in it to say"),
        ("a.md", "# Only\n\n## Headings\n", "nothing in it to say"),
        ("a.srt", "no subtitles", "nothing in it to say|no subtitles can be read"),
        ("a.srt", SRT.replace("02,500 -->", "02,000 -->"), "cue 2 begins at 0:00:02.000, before cue 1 ends"),
        ("a.srt", SRT.replace("00:00:04,000", "00:00:02,000"), "cue 2 ends at 0:00:02.000, before it begins"),
        ("a.docx", "x", "not a script that can be read: give .txt, .md"),
    ],
)
def test_what_is_no_script(tmp_path, name, text, message):
    with pytest.raises(ScriptError, match=message):
        script(tmp_path, name, text)


def test_unreadable_files(tmp_path):
    with pytest.raises(InputNotFoundError, match="no such file"):
        read_script(tmp_path / "none.txt")
    (tmp_path / "latin.txt").write_bytes("schön".encode("latin-1"))
    with pytest.raises(ScriptError, match="UTF-8"):
        read_script(tmp_path / "latin.txt")
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(ScriptError, match="folder"):
        read_script(tmp_path / "folder.txt")
