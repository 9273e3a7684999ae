"""The mouth rests in silence and may move around sound."""

import torch

from audio2motion.silence import FADE, LONGEST_PAUSE, REACH, close_in_silence, speaking


def test_lips_may_move_fully_shortly_before_and_after_a_sound_and_rest_a_quarter_of_a_second_away():
    loudness = torch.full((41,), -80.0)
    loudness[20] = -20.0
    share = speaking(loudness)
    assert (share[17:24] == 1).all()
    assert not share[:15].any() and not share[26:].any()
    assert share.diff().abs().max() < 0.34


def closed_in(sounds: list[int], length: int = 60) -> torch.Tensor:
    """Whether lips that would stay parted are shut in each frame, if there is sound in some frames only."""
    loudness = torch.full((length,), -80.0)
    loudness[sounds] = -20.0
    mouth = close_in_silence(torch.ones(length, 2), loudness, keep_pauses=True)
    return (mouth == 0).all(1)


def test_lips_stay_as_they_are_in_short_pauses():
    assert not closed_in([20, 40])[17:44].any()


def test_lips_close_in_long_pauses_and_before_and_after_speech():
    shut = closed_in([5, 40])
    assert shut[11:35].all() and shut[46:].all()
    assert closed_in([20, 40])[:15].all()


def test_the_longest_pause_that_counts_as_short():
    both_sides = 2 * (REACH + FADE)  # in which the lips move anyway
    end = 11 + LONGEST_PAUSE + both_sides - 2 * FADE
    assert not closed_in([10, end])[10:end].any()
    assert closed_in([10, end + 1])[16 : end - 5].all()


def test_lips_are_calmer_in_short_pauses_and_free_beside_them():
    loudness = torch.full((60,), -80.0)
    loudness[:20], loudness[36:] = -20.0, -20.0
    shaking = torch.tensor([1.0, -1.0]).repeat(30)[:, None]
    mouth = close_in_silence(shaking, loudness, keep_pauses=True)
    assert mouth[25:31].abs().max() < 0.15
    assert torch.equal(mouth[3:20], shaking[3:20])


def test_without_what_comes_next_every_pause_closes_the_lips():
    loudness = torch.full((60,), -80.0)
    loudness[[20, 40]] = -20.0
    mouth = torch.rand(60, 2)
    assert torch.equal(close_in_silence(mouth, loudness, keep_pauses=False), mouth * speaking(loudness)[:, None])
