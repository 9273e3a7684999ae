"""Which frames of a sound are silent."""

import numpy as np

from talkinghead.evaluation.speak import FRAME_SAMPLES, silence


def test_frames_far_below_the_loudest_and_their_neighbours():
    loud = np.repeat([0.0, 0.5, 0.003, 0.002, 0.0], [10, 10, 12, 12, 16]).astype(np.float32)  # -44.4 and -48 dB
    samples = np.repeat(loud, FRAME_SAMPLES) * np.sqrt(2) * np.sin(np.arange(60 * FRAME_SAMPLES) * 0.4)
    quiet = silence(samples[:-100].astype(np.float32))
    assert np.flatnonzero(quiet).tolist() == [*range(6), *range(36, 60)]


def test_levels_are_those_of_the_mean_square():
    samples = np.random.default_rng(0).normal(0, 1, 50 * FRAME_SAMPLES) * np.logspace(-4, -1, 50).repeat(FRAME_SAMPLES)
    level = 10 * np.log10(np.square(samples.reshape(50, -1)).mean(1))
    loud = np.convolve(level > level.max() - 45, np.ones(9), "same") > 0
    assert np.array_equal(silence(samples.astype(np.float32)), ~loud)
