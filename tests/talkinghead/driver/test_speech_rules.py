"""Options of sampling, as the voice models take them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from joyvasa_reference import tiny_model

from audio2motion.flow.config import FlowRules
from audio2motion.flow.model import MotionFlow
from talkinghead.driver.speech import sampling_rules
from talkinghead.errors import OptionError
from talkinghead.options import MotionOptions


def test_joyvasa_takes_all_of_them():
    usual = sampling_rules(tiny_model(), MotionOptions())
    assert (usual.guidance, usual.num_steps, usual.constant_position) == (2.8, 8, None)
    rules = sampling_rules(tiny_model(), MotionOptions(guidance=4, sampling_steps=5, position_encoding="constant"))
    assert (rules.guidance, rules.num_steps, rules.constant_position) == (4, 5, True)
    full = sampling_rules(tiny_model(), MotionOptions(sampler="full", position_encoding="rows"))
    assert (full.num_steps, full.constant_position) == (None, False)
    with pytest.raises(OptionError, match="sampling_steps is 60, this voice model has 50"):
        sampling_rules(tiny_model(), MotionOptions(sampling_steps=60))


def test_trained_generators_take_two():
    flow = MotionFlow.__new__(MotionFlow)
    assert sampling_rules(flow, MotionOptions()) == FlowRules()
    assert sampling_rules(flow, MotionOptions(guidance=0, sampling_steps=3)) == FlowRules(num_steps=3, guidance=0)
    with pytest.raises(OptionError, match="sampler is not for this voice model"):
        sampling_rules(flow, MotionOptions(sampler="full"))


def test_the_embedded_voice_takes_none():
    voice = SimpleNamespace(num_keypoints=None)
    assert sampling_rules(voice, MotionOptions()) is None
    with pytest.raises(OptionError, match="guidance is not for this voice model"):
        sampling_rules(voice, MotionOptions(guidance=2))


def test_options_that_exclude_each_other():
    with pytest.raises(OptionError, match="leave one out"):
        MotionOptions(sampler="full", sampling_steps=5)
    with pytest.raises(OptionError, match="sampler 'slow' is none of fast, full"):
        MotionOptions(sampler="slow")
