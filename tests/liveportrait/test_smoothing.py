"""Kalman smoothing."""

from __future__ import annotations

import pytest
import torch
from official_reference import golden

from liveportrait import smoothing


def smooth(sequence: torch.Tensor, *variances: float, **named: float) -> torch.Tensor:
    return torch.stack(list(smoothing.smooth(sequence, *variances, **named)))


VARIANCES = {"exp20": 3e-7, "exp20_loose": 3e-6, "rot12": 3e-7, "two": 3e-7}


@pytest.mark.parametrize("name", VARIANCES)
def test_reference_sequences(name: str):
    steps = golden().input(f"smooth/{name}/x")[:, 0]
    walk = torch.from_numpy(steps.numpy().cumsum(0))
    assert golden().difference(f"smooth/{name}/y", smooth(walk, VARIANCES[name])) < 1e-6


def test_one_frame_is_returned_as_it_is():
    frame = torch.randn(1, 3, 3)
    assert torch.equal(smooth(frame, 1e-6), frame)


def test_a_constant_stays_constant_and_noise_shrinks():
    constant = torch.full((10, 2), 0.7)
    torch.testing.assert_close(smooth(constant, 1e-4), constant)
    noise = torch.randn(200, 1, generator=torch.Generator().manual_seed(0))
    assert smooth(noise, 1e-3).std() < 0.5 * noise.std()


def test_two_frames_by_hand():
    # Prior variance 1, step variance 1, noise variance 1: filtered means 0 and 0.6 x; looking back, 0.2 x.
    smoothed = smooth(torch.tensor([0.0, 1.0]), 1.0, process_variance=1.0)
    torch.testing.assert_close(smoothed, torch.tensor([0.2, 0.6]))


def test_it_uses_frames_before_and_after():
    torch.manual_seed(1)
    sequence = torch.randn(30, 4)
    torch.testing.assert_close(
        smooth(sequence, 1e-5)[5:-5], smooth(sequence.flip(0), 1e-5).flip(0)[5:-5], atol=1e-3, rtol=0
    )


def test_it_looks_only_a_few_frames_ahead():
    taken = []

    def frames():
        for n in range(100):
            taken.append(n)
            yield torch.tensor(float(n))

    next(smoothing.smooth(frames(), 3e-7))
    assert len(taken) < 10
