"""Controls are made from the option classes: their values give the defaults, and remembered ones are checked."""

import pytest

gr = pytest.importorskip("gradio")

from talkinghead import (  # noqa: E402
    CaptionOptions,
    CropOptions,
    DriveOptions,
    EditOptions,
    MotionOptions,
    NarrationOptions,
    OptionError,
    Options,
    ProvenanceOptions,
    RenderOptions,
    SceneOptions,
    VoiceOptions,
)
from talkinghead.studio.controls import Controls, options_of  # noqa: E402

GROUPS = {
    Options: (CropOptions, MotionOptions, DriveOptions, EditOptions, RenderOptions, ProvenanceOptions),
    NarrationOptions: (CropOptions, VoiceOptions, SceneOptions, CaptionOptions, MotionOptions, RenderOptions),
}


def controls(kind):
    with gr.Blocks():
        return Controls(*GROUPS[kind], first=("size",))


def values(made):
    return [component.value for component in made.components]


@pytest.mark.parametrize("kind", GROUPS)
def test_untouched_controls_give_the_defaults(kind):
    made = controls(kind)
    given, model, voice_model = made.read(values(made))
    assert options_of(kind, given) == kind()
    assert (model, voice_model) == ("mini", "mini")


def test_values_become_options():
    made = controls(Options)
    asked = {"Size": "256", "Seed": 5, "Trim": "1:2", "Fps": "29.97", "Crop x": 0.1 + 0.2, "Still": True}
    touched = [asked.get(component.label, component.value) for component in made.components]
    options = options_of(Options, made.read(touched)[0])
    assert (options.crop.size, options.motion.seed, options.motion.still) == (256, 5, True)
    assert options.crop.crop_x == 0.3 and options.drive.trim.end == 2 and options.render.fps.denominator == 1001


def test_a_value_out_of_range_is_one_line():
    made = controls(Options)
    touched = ["7" if component.label == "Size" else component.value for component in made.components]
    with pytest.raises(OptionError, match="size"):
        options_of(Options, made.read(touched)[0])


def test_remembered_values_that_no_longer_fit_are_left_out():
    with gr.Blocks() as page:
        Controls(MotionOptions, first=("seed",)).remember([page.load], gr.BrowserState({}))
    restore = next(fn.fn for fn in page.fns.values() if fn.fn.__name__ == "restore")
    shown = restore({"MotionOptions.seed": -3, "MotionOptions.still": True, "unknown": 1, "model": "base"})
    assert [each for each in shown if each is not None and not isinstance(each, dict)] == [True, "base"]
