"""Spread, spectrum and blinks of tracks whose figures are known."""

import pytest
import torch

from talkinghead.evaluation.idle_motion import MOVES, IdleTrack, blink_figures, describe_idle_motion, moves_figures

SECONDS = 20


def track(*hertz: float, eyes: torch.Tensor | None = None) -> IdleTrack:
    """Moves that swing with amplitude two, one after the other at the frequencies given; the others are at rest."""
    time = torch.arange(SECONDS * 25) / 25
    moves = torch.zeros(len(time), len(MOVES))
    for n, frequency in enumerate(hertz):
        moves[:, n] = 2 * torch.sin(2 * torch.pi * frequency * time)
    return IdleTrack(moves, torch.ones(len(time)) if eyes is None else eyes)


def test_each_frequency_falls_into_its_band():
    figures = moves_figures([track(0.2, 0.8, 1.4, 3.0)])
    torch.testing.assert_close(figures.deviations[:, :4], torch.full((3, 4), 2**0.5), rtol=0.02, atol=0)
    assert figures.speed[1] == pytest.approx(4 * 2 * 0.8, rel=0.05)  # a swing goes there and back: four amplitudes
    for n, band in enumerate(figures.shares[:, :4]):
        assert band[n] > 0.9
        assert band.sum() - band[n] < 0.15


def test_blinks_are_counted_and_measured():
    eyes = torch.ones(SECONDS * 25)
    eyes[50:53] = 0.1
    eyes[200:205] = 0.5
    eyes[300:400] = 0.4  # looks down
    rate, milliseconds, deep = blink_figures([track(eyes=eyes)])
    assert rate == pytest.approx(2 * 60 / SECONDS)
    assert milliseconds == pytest.approx((3 + 5) / 2 * 40)
    assert deep == 0.5


def test_lids_that_never_move_have_no_blinks():
    assert blink_figures([track()]) == (0.0, 0.0, 0.0)


def test_the_table_has_a_line_for_every_move():
    lines = describe_idle_motion([track(*[0.4] * 6)], [track(*[0.8] * 6)])
    assert [line.split(" | ")[0] for line in lines[2:8]] == [f"| {move}" for move in MOVES]
    assert "1.41; 1.41 (1.41 to 1.41) | 3.2; 6.4" in lines[2]
