"""Live motion: no jumps between speech, waiting and rest."""

import torch

from audio2motion.live import FADE_OUT, LONGEST_HOLD, LiveMotion

REST = torch.tensor([[0.0, 0.0, -80.0]])


def live():
    return LiveMotion(REST, lambda features: features)  # type: ignore[arg-type, return-value]


def spoken(value):
    return torch.tensor([[value, -value, -20.0]])


def test_lips_join_speech_and_come_to_rest_step_by_step():
    motion = live()
    shown = [
        motion.rest(),
        *(motion.speak(spoken(1.0), begins=n == 0) for n in range(3)),
        *(motion.rest() for _ in range(4)),
    ]
    assert [round(float(frame[0, 0]), 2) for frame in shown] == [0, 0.5, 1, 1, 0.67, 0.33, 0, 0]
    assert [float(frame[0, 2]) for frame in shown] == [-80, -20, -20, -20, -80, -80, -80, -80]


def test_waiting_holds_the_lips_and_then_closes_them():
    motion = live()
    for n in range(3):
        motion.speak(spoken(1.0), begins=n == 0)
    held = [motion.wait() for _ in range(LONGEST_HOLD)]
    assert all(float(frame[0, 0]) == 1 for frame in held)
    closing = [float(motion.wait()[0, 0]) for _ in range(FADE_OUT)]
    assert closing == sorted(closing, reverse=True) and closing[-1] == 0
    assert float(motion.speak(spoken(1.0), begins=False)[0, 0]) == 0.5


def test_an_interruption_in_the_middle_of_a_transition_starts_from_what_is_shown():
    motion = live()
    motion.speak(spoken(1.0), begins=True)
    assert round(float(motion.rest()[0, 0]), 3) == round(0.5 * 2 / 3, 3)
