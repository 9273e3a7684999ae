"""Scripts as people write them: text and Markdown."""

import os

import pytest

from talkinghead.errors import InputNotFoundError
from talkinghead.narration.errors import ScriptError
from talkinghead.narration.read import read_script
from talkinghead.narration.script import Chapter


def script(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_script(tmp_path / name)


def said(read):
    return [line.text for line in read.lines]


def test_of_web_addresses_the_host_is_read(tmp_path):
    read = script(tmp_path, "a.txt", "See https://www.example.com/a/b?c=1. And www.foo.org/.")
    assert said(read) == ["See example.com.", "And foo.org."]


@pytest.mark.parametrize(
    ("address", "read_as"),
    [
        ("https://me:secret@docs.example.com:8080?q=1", "docs.example.com:8080"),
        ("https://例え.テスト/a", "例え.テスト"),
        ("http://localhost/a#b", "localhost"),
        ("http://192.168.0.1/", "192.168.0.1"),
        ('"https://example.com"', '"example.com"'),
        ("https://" + "a." * 125 + "com", "a." * 125 + "com"),
        ("https://" + "a." * 126 + "com", "link"),
        ("https://" + "a." * 20_000 + "com/x", "link"),
        ("www." + "a" * 64 + ".com", "link"),
        ("www.example.4", "link"),
        ("https://[::1]/", "link"),
    ],
)
def test_what_is_no_host_is_read_as_a_link(tmp_path, address, read_as):
    assert said(script(tmp_path, "a.txt", f"See {address} there.")) == [f"See {read_as} there."]


def test_words_that_take_minutes_are_refused(tmp_path):
    with pytest.raises(
        ScriptError, match=r"a\.md: a word has more than 250 letters and digits \('aaaa.*'\); leave it out"
    ):
        script(tmp_path, "a.md", f"See {'a' * 251} there.")
    for text in ("a" * 40_000, "a.b/" * 10_000):
        with pytest.raises(ScriptError, match="more than 250 letters"):
            script(tmp_path, "a.txt", text)
    for text in ("a" * 250, "-" * 999 + "a", "我们说话" * 300, "ภาษาไทย" * 200, "あAI" * 400, "word " * 900):
        assert said(script(tmp_path, "a.txt", text))


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
    assert script(tmp_path, "a.md", f"# {'x' * 70_000}\n\nHi.").title == "x" * 200


def test_markdown_leaves_out_boxes_footnotes_and_what_is_struck_out(tmp_path):
    text = (
        "- [x] Bread[^1] and ~~salt~~ oil.\n- [ ] Salt^[or none] ~~too~~.\n\nSee [^none]. An [x] and café 😀.\n\n"
        "[^1]: Not read.\n\n    Nor this.\n\n![odd](a%20b\\)c.png) End &#0;&#xD800;here.\n"
    )
    assert said(script(tmp_path, "a.md", text)) == [
        "Bread and oil.",
        "Salt.",
        "See.",
        "An [x] and café 😀.",
        "End here.",
    ]


def test_long_sentences_are_cut_into_lines(tmp_path):
    text = ("one two, " * 300).strip()
    lines = script(tmp_path, "a.txt", f"{text}\n\nEnd.").lines
    assert " ".join(line.text for line in lines) == f"{text} End." and max(len(line.text) for line in lines) <= 1000
    assert [line.pause for line in lines] == [0.1, 0.1, None, None] and all(line.text[-1] in ",." for line in lines)
    assert [line.ends_paragraph for line in lines] == [False, False, True, True]


@pytest.mark.parametrize(
    ("data", "expected", "note"),
    [
        ("\ufeffSchön.", "Schön.", ""),
        ("Schön.".encode("utf-16"), "Schön.", ""),
        ("Quite a “schön” one.".encode("cp1252"), "Quite a “schön” one.", "read as Windows-1252"),
        ("Bell\a and\0 bidi\x1b.", "Bell and bidi.", ""),
        ("One\r\ntwo\rthree\r\r\nfour.", "One two three four.", ""),
    ],
)
def test_encodings(tmp_path, data, expected, note):
    (tmp_path / "a.txt").write_bytes(data if isinstance(data, bytes) else data.encode())
    read = read_script(tmp_path / "a.txt")
    assert said(read) == [expected] and len(read.notes) == bool(note) and note in "".join(read.notes)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", " \n\n -- \n", "nothing in it to say"),
        ("a.md", "# Only\n\n## Headings\n", "nothing in it to say"),
        ("a.txt", "word " * 200_000, "it would take about 18.5 hours; a narration has 12 at most"),
        ("a.txt", "x" * 2_000_001, "larger than 2 MB"),
        ("a.md", "[" * 50_000 + "hello", "more than 10,000 brackets, stars"),
        ("a.yaml", f"script:\n- narrator: {'x' * 11_000}\n  keyframes: {{0: {{smile: 1}}}}", "line with keyframes has"),
        ("a.docx", "x", "not a script that can be read: give .txt, .md"),
    ],
)
def test_what_is_no_script(tmp_path, name, text, message):
    with pytest.raises(ScriptError, match=message):
        script(tmp_path, name, text)


def test_unreadable_files(tmp_path):
    with pytest.raises(InputNotFoundError, match="no such file"):
        read_script(tmp_path / "none.txt")
    for name, data in (("russian.txt", "Привет, мир.".encode("cp1251")), ("cut.txt", "Hello".encode("utf-16")[:-1])):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ScriptError, match="not a text in UTF-8 or UTF-16"):
            read_script(tmp_path / name)
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(ScriptError, match="a pipe, give a file"):
        read_script(tmp_path / "pipe.txt")
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(ScriptError, match="folder"):
        read_script(tmp_path / "folder.txt")
