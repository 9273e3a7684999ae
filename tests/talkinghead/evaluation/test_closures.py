"""The closure judge: worked openings, and labels that lie where the sound is shut."""

import numpy as np
import pytest
import torch

from audio2motion import AudioToMotion
from talkinghead.evaluation.closures import course, judge, opening_of, picked
from talkinghead.evaluation.labelled_speech import LabelledVoice, Manner, Sound, confirmed, heard

OPEN, SHUT = 0.1, 0.01


def lips(frames: int, *shut: int) -> np.ndarray:
    opening = np.full(frames, OPEN, np.float32)
    opening[list(shut)] = SHUT
    return opening


def at(phoneme: str, frame: int, sure: bool = True) -> Sound:
    """A sound in the middle of a frame."""
    return Sound(phoneme, (frame + 0.25) / 25, (frame + 0.75) / 25, sure)


def test_a_closure_counts_up_to_a_frame_beside_it():
    sounds = [at("p", 10), at("b", 20), at("m", 30), at("m", 40)]
    figures = judge(lips(60, 11, 18, 30), sounds)  # p is a frame late, b two frames early, the second m never
    assert figures["recall p"] == 1.0
    assert figures["recall b"] == 0.0
    assert figures["recall m"] == 0.5
    assert figures["recall"] == 0.5


def test_what_is_not_heard_does_not_count():
    figures = judge(lips(40, 10), [at("p", 10), at("p", 20, sure=False)])
    assert (figures["counted"], figures["of spoken"], figures["recall"]) == (1, 0.5, 1.0)


def test_a_mouth_kept_shut_is_seen():
    figures = judge(np.full(60, SHUT), [at("p", 10), Sound("ɑ", 0.8, 1.0), at("t", 50)])
    assert (figures["recall"], figures["vowels closed"], figures["others closed"]) == (1.0, 1.0, 1.0)


def test_consonants_near_a_bilabial_tell_nothing():
    figures = judge(lips(60, 10), [at("p", 10), at("t", 12), at("t", 40)])
    assert figures["others closed"] == 0.0


def test_the_course_is_centred_on_the_closure():
    shown = course(lips(60, 20, 40), [at("b", 20), at("b", 40), at("b", 58)])  # the last is too near the end
    assert list(shown) == [f"{n:+d}" for n in range(-5, 6)]
    assert shown["+0"] == pytest.approx(SHUT)
    assert shown["-1"] == pytest.approx(OPEN)


def test_sentences_are_rich_in_bilabials_and_poor_by_turns():
    everything = picked(None)
    assert len(everything) == 40
    assert picked(2) == [everything[0], everything[-1]]


def test_silence_shows_closed_lips():
    opening = opening_of(AudioToMotion.from_pretrained().generate(torch.zeros(16_000)))
    assert opening.shape == (25,)
    assert opening.max() < 0.01


@pytest.mark.parametrize("size", [1.0, 1.25])
def test_plosives_are_marked_where_the_voice_is_shut(size):
    pytest.importorskip("onnx")
    pytest.importorskip("hama")
    said = LabelledVoice(Manner(size=size)).say("A happy baby began to copy a paper about a robber.")
    plosives = [sound for sound in said.sounds if sound.phoneme in "pb"]
    assert [sound.phoneme for sound in plosives] == list("pbbbpppbb")
    decibels = 10 * said.samples.square().unfold(0, 80, 80).mean(1).add(1e-9).log10()  # every 5 ms
    steps = [round(100 * (sound.start + sound.end)) for sound in plosives]
    course = torch.stack([decibels[step - 30 : step + 30] for step in steps]).mean(0)
    assert abs(int(course.argmin()) - 30) <= 6  # quietest within 30 ms of the middle of what is marked
    assert course[26:32].mean() < course[[*range(12), *range(48, 60)]].mean() - 10


def test_a_recogniser_finds_what_was_said_and_doubts_what_was_not():
    pytest.importorskip("onnx")
    pytest.importorskip("hama")
    said = LabelledVoice(Manner()).say("A happy baby.")
    assert [sound.phoneme for sound in heard(said.samples) if sound.phoneme in "pbm"] == ["p", "b", "b"]
    wrong = [Sound("m", 0.3, 0.35), Sound("t", 0.3, 0.35)]
    assert [sound.sure for sound in confirmed(torch.zeros(16_000), wrong)] == [False, True]
