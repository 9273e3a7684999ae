"""The mouth rests in silence and may move around sound."""

import torch

from audio2motion.silence import speaking


def test_lips_may_move_fully_shortly_before_and_after_a_sound_and_rest_a_quarter_of_a_second_away():
    loudness = torch.full((41,), -80.0)
    loudness[20] = -20.0
    share = speaking(loudness)
    assert (share[17:24] == 1).all()
    assert not share[:15].any() and not share[26:].any()
    assert share.diff().abs().max() < 0.34
