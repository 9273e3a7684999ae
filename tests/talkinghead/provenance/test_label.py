"""A label that cannot be written is refused, and nothing is left of the file."""

from fractions import Fraction

import pytest

from talkinghead import OptionError, ProvenanceOptions
from talkinghead.media.video import VideoWriter
from talkinghead.provenance.label import Label
from talkinghead.provenance.marks import Marks


@pytest.mark.parametrize("text", ["AI-generated", "Künstlich erzeugt …", "сгенерировано ИИ", "□ © l’IA"])
def test_letters_of_the_font(text):
    Label(text, (64, 64))


@pytest.mark.parametrize("text", ["合成", "🤖 AI"])
def test_letters_that_the_font_lacks(tmp_path, text):
    marks = Marks(ProvenanceOptions(label=text, c2pa=False))
    with (
        pytest.raises(OptionError, match="the font has no"),
        VideoWriter(tmp_path / "out.mp4", Fraction(25), (48, 64), marks=marks),
    ):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", [" ", "   ", "a\nb", "x" * 101])
def test_labels_that_are_none(text):
    with pytest.raises(OptionError, match="label"):
        ProvenanceOptions(label=text)
