"""Options say what is wrong with them, and nothing else writes a default."""

from dataclasses import fields
from fractions import Fraction

import pytest

from talkinghead.errors import OptionError
from talkinghead.options import CropOptions, MotionOptions, Options, RenderOptions, parse_fps


@pytest.mark.parametrize(
    ("text", "fps"),
    [
        ("25", Fraction(25)),
        ("30000/1001", Fraction(30000, 1001)),
        ("29.97", Fraction(30000, 1001)),
        ("23.976", Fraction(24000, 1001)),
        ("23.98", Fraction(24000, 1001)),
        ("59.94", Fraction(60000, 1001)),
        ("24", Fraction(24)),
        ("30", Fraction(30)),
        ("12.5", Fraction(25, 2)),
    ],
)
def test_frame_rates_are_rational(text, fps):
    assert parse_fps(text) == fps
    assert RenderOptions(fps=text).fps == fps


@pytest.mark.parametrize("text", ["", "fast", "0", "-25", "1/0", "nan", "inf"])
def test_what_is_no_frame_rate(text):
    with pytest.raises(OptionError, match="frame rate"):
        parse_fps(text)


@pytest.mark.parametrize(
    "make",
    [
        lambda: RenderOptions(fps=0.5),
        lambda: RenderOptions(fps=1000),
        lambda: RenderOptions(crf=52),
        lambda: RenderOptions(batch_size=0),
        lambda: CropOptions(face=-1),
        lambda: CropOptions(size=63),
        lambda: CropOptions(size=100_000),
        lambda: MotionOptions(seed=-1),
        lambda: MotionOptions(lip_strength=-0.1),
        lambda: MotionOptions(head_strength=2.1),
        lambda: MotionOptions(expression_strength=float("nan")),
    ],
)
def test_ranges(make):
    with pytest.raises(OptionError, match="must be"):
        make()


def test_still_and_a_moving_head_contradict():
    with pytest.raises(OptionError, match="still"):
        MotionOptions(still=True, head_strength=0.5)
    assert MotionOptions(still=True).still and MotionOptions(still=True, head_strength=0.0).still


def test_every_option_has_a_meaning():
    for part in fields(Options):
        for option in fields(part.default_factory):
            assert option.metadata["meaning"].endswith((".", "...")), option.name
