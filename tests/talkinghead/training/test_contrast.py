"""The contrast of a speech model: as few people as can be whose lips move far too little or too much."""

from types import SimpleNamespace

import pytest
import torch

from audio2motion.network import MIDDLE
from talkinghead.training import speech


@pytest.mark.parametrize(
    ("real", "contrast"),
    [
        ([1.0, 1.0, 1.0], 1.5),  # the largest that suits all of them
        ([1.0, 1.0, 0.8], 1.2),
        ([1.0, 1.0, 0.1], 1.5),  # nothing suits the third
        ([3.0, 3.0, 1.0], 2.0),
    ],
)
def test_contrast_suits_as_many_clips_as_it_can(monkeypatch, real, contrast):
    wave = torch.sin(torch.arange(100.0))
    network = SimpleNamespace(readout=torch.eye(1, MIDDLE + 1), center=torch.zeros(1), contrast=torch.ones(1))
    network.readout[0, MIDDLE] = 1.0
    tracks = SimpleNamespace(opening=torch.cat([size * wave for size in real]), offsets=[0, 100, 200, 300])
    monkeypatch.setattr(speech, "predict", lambda *_: 0.999 * wave[:, None])
    speech.fit_contrast(network, tracks, [0, 1, 2])
    assert float(network.contrast) == pytest.approx(contrast, abs=1e-3)
