"""Options say what is wrong with them, and nothing else writes a default."""

from dataclasses import fields
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from talkinghead.errors import OptionError
from talkinghead.inputs.option_values import assign_drivers, parse_fps
from talkinghead.options import (
    CropOptions,
    DriveOptions,
    LiveOptions,
    MotionOptions,
    Options,
    RenderOptions,
)


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
        lambda: MotionOptions(seed=2**63),
        lambda: LiveOptions(seconds=10**6),
        lambda: RenderOptions(fps="1e300"),
    ],
)
def test_ranges(make):
    with pytest.raises(OptionError, match="must be"):
        make()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: MotionOptions(expression_strength=float("nan")), "expression_strength nan is not a number"),
        (lambda: MotionOptions(seed=1.5), "seed 1.5 is not a whole number"),
        (lambda: MotionOptions(seed="²"), "seed '²' is not a whole number"),
        (lambda: MotionOptions(seed=True), "seed True is not a whole number"),
        (lambda: MotionOptions(blink="maybe"), "blink is 'maybe', it must be true or false"),
        (lambda: MotionOptions(reference=5), "reference is 5, it must be text"),
        (lambda: MotionOptions(reference="a\0b"), "must be text"),
        (lambda: MotionOptions(head_strength=None), "head_strength None is not a number"),
        (lambda: RenderOptions(fps="1e999999999"), "fps '1e999999999' is not a number"),
        (lambda: RenderOptions(fps=[25]), r"fps \[25\] is not a number"),
        (lambda: RenderOptions(device=[1]), r"device is \[1\], it must be text"),
        (lambda: DriveOptions(anchor="²"), "anchor '²' is not a whole number"),
        (lambda: DriveOptions(region=5), "region is 5, it must be text"),
        (lambda: DriveOptions(trim=[1]), r"trim \[1\] is no part of a video"),
        (lambda: DriveOptions(trim="1e999999999:"), "is no part of a video"),
        (lambda: DriveOptions(trim=f"{24 * 60 * 60 + 1}:"), "is no part of a video"),
        (lambda: CropOptions(box=[1, 2]), "X,Y,WIDTH,HEIGHT"),
        (lambda: CropOptions(box="1e308,1e308,1e308,1e308"), "X,Y,WIDTH,HEIGHT"),
        (lambda: assign_drivers(["²"], "a.mp4"), "give every face once"),
    ],
)
def test_values_of_another_kind(make, said):
    with pytest.raises(OptionError, match=said):
        make()


def test_texts_become_what_they_stand_for():
    options = MotionOptions(seed="7", lip_strength="0.5", blink="no", still="true")
    assert (options.seed, options.lip_strength, options.blink, options.still) == (7, 0.5, False, True)
    assert CropOptions(face=np.int64(1), box="-5,0,10,1e2").box == (-5, 0, 10, 100)
    assert MotionOptions(reference=Path("a.mp4")).reference == "a.mp4"
    assert DriveOptions(anchor="3", trim="1/2:2.5").trim == (Fraction(1, 2), Fraction(5, 2))


def test_still_and_a_moving_head_contradict():
    with pytest.raises(OptionError, match="still"):
        MotionOptions(still=True, head_strength=0.5)
    assert MotionOptions(still=True).still and MotionOptions(still=True, head_strength=0.0).still


def test_every_option_has_a_meaning():
    for part in fields(Options):
        for option in fields(part.default_factory):
            assert option.metadata["meaning"].endswith((".", "...")), option.name


def test_former_names_of_options_are_taken_with_a_warning():
    with pytest.warns(FutureWarning, match="CropOptions: crop is called face_only now"):
        assert CropOptions(crop=True) == CropOptions(face_only=True)
    with pytest.warns(FutureWarning, match="skin is called dense_residual now"):
        assert not DriveOptions(skin=False).dense_residual
