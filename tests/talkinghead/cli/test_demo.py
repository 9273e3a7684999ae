"""The example input is in the package and usable."""

from talkinghead.cli.demo import demo_inputs
from talkinghead.media.audio import probe_sound
from talkinghead.media.image import read_image


def test_example_portrait_is_a_picture():
    height, width, channels = read_image(demo_inputs().portrait).shape
    assert min(height, width) >= 400
    assert channels == 3


def test_example_voice_lasts_some_seconds():
    assert 3 < probe_sound(demo_inputs().voice).seconds < 15


def test_credits_name_both():
    credits = (demo_inputs().portrait.parent / "CREDITS.md").read_text()
    assert "portrait.jpg" in credits
    assert "voice.flac" in credits
