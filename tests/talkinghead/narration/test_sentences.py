"""Where sentences end, and where long ones are cut."""

import time

import pytest

from talkinghead.narration.sentences import pieces, sentences


@pytest.mark.parametrize(
    "text",
    [
        "One.|Two!|Three?",
        "Dr. Smith has 3.5 apples.|Really.",
        "Use a tool, e.g. Bob's, i.e. This one, approx. Ten vs. Nine.|Then stop.",
        "No. 5 is alive, see p. 3 and Fig. 2.|No.|Yes.",
        "J. K. Rowling of the U.S. Senate came at 5 p.m. Monday.|So did I.|Then we left.",
        "(Yes.)|He said “No.”|Then [he left.]|Well… he may return.",
        'She asked "Why?" and left.|Wait... what?',
        "1. Open the door.|2. Close it in 2020.|Then go to example.com.|Done.",
        "你好。|再见！|「好。」他说。|End",
        "كيف حالك؟|بخير.",
    ],
)
def test_sentences(text):
    assert sentences(text.replace("|", " ")) == text.split("|")


def test_what_has_no_letter_is_left_out():
    assert sentences("--- ... *** ___ 😀") == [] and sentences("One.\nTwo") == ["One.", "Two"]


def test_long_texts_are_cut_at_commas_then_words_then_anywhere():
    assert pieces("short", 10) == ["short"] and pieces("", 10) == []
    assert pieces("one two, three four five", 15) == ["one two,", "three four five"]
    assert pieces("one two three four", 10) == ["one two", "three four"]
    assert pieces(f"{20 * '('}one", 10) == ["one"]
    assert pieces("x" * 25, 10) == ["x" * 10, "x" * 10, "x" * 5]


@pytest.mark.parametrize(
    "text", ["." * 300_000 + "x", ".)" * 150_000, "。" * 300_000 + "」", "a. " * 100_000, "“" * 300_000]
)
def test_no_text_takes_long(text):
    begun = time.perf_counter()
    sentences(text)
    pieces(text, 400)
    assert time.perf_counter() - begun < 10
