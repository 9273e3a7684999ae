"""YAML of users: texts with their lines, and nothing that could explode."""

from pathlib import Path

import pytest

from talkinghead.errors import InputNotFoundError, OptionError
from talkinghead.inputs.yaml_files import MAX_BYTES, parse_document, read_document


def parse(text):
    return parse_document(text, Path("a.yaml"), OptionError)


def test_every_value_is_text_with_its_line():
    document = parse("one: 0x1F\ntwo:\n- yes\n- {three: 1e3, four: ~}\n- 'null'\n")
    assert document.content == {"one": "0x1F", "two": ["yes", {"three": "1e3", "four": None}, "null"]}
    assert document.lines[("two", 1, "three")] == 4 and document.lines[("two", 2)] == 5
    assert str(document.fault(("two", 1, "tag", "three"), "is wrong", OptionError)) == (
        "a.yaml, line 4: two, item 2, three: is wrong"
    )
    assert parse("").content is parse("# only a comment").content is None


LAUGH = "[&a0 [lol, lol]" + "".join(f", &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)) + "]"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"a: {LAUGH}", "line 1: tags, anchors and aliases are not read"),
        ("a: 1\nb: *c", "line 2: tags, anchors and aliases are not read"),
        ("a: &b [*b]", "tags, anchors and aliases are not read"),
        ('a: !!python/object/apply:os.system ["true"]', "tags, anchors and aliases"),
        ("a: !!binary AAAA", "tags, anchors and aliases"),
        ("&a b: c", "a name must be plain text"),
        ("a: 1\na: 2", "line 2: 'a' is given twice"),
        ("[" * 20_000, "line 1: .*nest"),
        ("{a: " * 5_000, "nested more than 20 deep"),
        ("".join(" " * n + "a:\n" for n in range(100)), "line 22: nested more than 20 deep"),
        ("a:\n- 2024-13-45", "line 2: '2024-13-45' is no date"),
        ("a:\n- \0", r"line 2: the character '\\x00' cannot be read"),
        ('a: "\\0"', r"the character '\\x00' cannot be read"),
        ('a: "\\ud800"', "line 1"),
        ("a: \ud800", r"the character '\\ud800' cannot be read"),
        ("? [a]\n: b", "a name must be plain text"),
        ("a: 1\n---\nb: 2", "line 2: a second document begins here"),
        ("a:\n\t- b", "line 2: no YAML can be read"),
        ("a: [1\n", "no YAML can be read"),
        ("x" * (MAX_BYTES + 1), "larger than 2 MB"),
    ],
)
def test_what_is_not_read(text, said):
    with pytest.raises(OptionError, match=said) as raised:
        parse(text)
    assert str(raised.value).startswith("a.yaml")


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    (tmp_path / "large.yaml").write_bytes(b"x" * (MAX_BYTES + 1))
    for path, said in (("latin.yaml", "UTF-8"), ("large.yaml", "larger than 2 MB"), (".", "this is a folder")):
        with pytest.raises(OptionError, match=said):
            read_document(tmp_path / path, OptionError)
    with pytest.raises(OptionError, match=r"pipe|device"):
        read_document("/dev/zero", OptionError)
    with pytest.raises(InputNotFoundError):
        read_document(tmp_path / "none.yaml", OptionError)
