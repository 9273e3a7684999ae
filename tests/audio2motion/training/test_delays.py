"""How late lips come after their sound, found in clips that are not in sync."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from audio2motion.training.delays import highest, lip_delays

FRAMES = 200


def smooth(seed: int) -> torch.Tensor:
    """A curve of random waves, three samples a frame."""
    noise = torch.randn(1, 1, 3 * (FRAMES + 20), generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.conv1d(noise, torch.hann_window(15)[None, None], padding="same")[0, 0]


def shifted(curve: torch.Tensor, thirds: int) -> torch.Tensor:
    """The curve a number of thirds of a frame later, at one sample a frame."""
    return curve[30 - thirds :: 3][:FRAMES]


@pytest.mark.parametrize("thirds", [-6, -2, 0, 1, 4])
def test_the_delay_of_lips_is_found_to_a_part_of_a_frame(thirds: int):
    curves = [smooth(0), smooth(1)]
    lips = torch.cat([shifted(curve, thirds) for curve in curves])
    tracks = SimpleNamespace(identities=["ada", "ada"], offsets=[0, FRAMES, 2 * FRAMES], opening=lips)
    delays = lip_delays(tracks, [0, 1], lambda n: shifted(curves[n], 0))  # type: ignore[arg-type]
    assert delays == {"ada": pytest.approx(thirds / 3, abs=0.15)}


def test_people_are_told_apart_and_very_short_clips_left_out():
    curve = smooth(2)
    lips = torch.cat([shifted(curve, 3), shifted(curve, -3), curve[:10]])
    offsets = [0, FRAMES, 2 * FRAMES, 2 * FRAMES + 10]
    tracks = SimpleNamespace(identities=["ada", "bob", "eve"], offsets=offsets, opening=lips)
    delays = lip_delays(tracks, [0, 1, 2], lambda n: shifted(curve, 0))  # type: ignore[arg-type]
    assert delays == {"ada": pytest.approx(1, abs=0.1), "bob": pytest.approx(-1, abs=0.1)}


def test_only_so_much_of_a_person_is_heard():
    heard: list[int] = []
    tracks = SimpleNamespace(identities=["ada"] * 3, offsets=[0, 50, 100, 150], opening=smooth(4)[:150])
    lip_delays(tracks, range(3), lambda n: heard.append(n) or torch.randn(50), most=60)  # type: ignore[arg-type, func-returns-value]
    assert heard == [0, 1]


def test_lips_that_do_not_follow_the_sound_have_no_delay():
    still, strange = torch.zeros(FRAMES), shifted(smooth(7), 0)
    tracks = SimpleNamespace(
        identities=["ada", "bob"], offsets=[0, FRAMES, 2 * FRAMES], opening=smooth(8)[: 2 * FRAMES]
    )
    assert lip_delays(tracks, [0, 1], lambda n: (still, strange)[n]) == {}  # type: ignore[arg-type]


def test_only_a_high_peak_between_the_ends_counts():
    assert highest(torch.tensor([0.1, 0.9, 0.9, 0.1])) == pytest.approx(1.5)
    assert highest(torch.tensor([0.1, 0.2, 0.9])) is None
    assert highest(torch.tensor([0.1, 0.2, 0.1])) is None
    assert highest(torch.tensor([0.1, float("nan"), 0.9, 0.1])) is None
