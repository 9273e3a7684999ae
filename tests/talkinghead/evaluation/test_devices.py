"""What the commands of the paper's table compute stays where the model runs: here on "meta", which computes nothing."""

from contextlib import nullcontext
from fractions import Fraction

import numpy as np
import pytest
import torch
from drawn_face import drawn_face
from official_tiny import tiny_official

from liveportrait import sliders
from talkinghead.evaluation import reenact, retargeting, stitching
from talkinghead.evaluation.networks import Networks
from talkinghead.face import FaceDetector
from talkinghead.media.video import VideoWriter
from talkinghead.models import Models

META = torch.device("meta")


@pytest.fixture
def clip(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", Fraction(25), (256, 256), None, crf=1) as writer:
        for mouth in (0.0, 0.5, 1.0):
            writer.write(drawn_face(256, mouth))
    return tmp_path / "a.mp4"


@pytest.fixture
def models():
    return Models(tiny_official().to(META), None, FaceDetector(), META)


@pytest.fixture
def devices(monkeypatch):
    """Collect the devices of all crops that become pictures; each becomes a drawn face."""
    found = []

    def to_picture(crops, side):
        found.append(crops.device.type)
        return drawn_face(side)

    for module in (reenact, retargeting, stitching):
        monkeypatch.setattr(module, "to_picture", to_picture)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # knows no "meta"
    monkeypatch.setattr(sliders, "shown_ratio", lambda _: -1.0)  # the number in a tensor on "meta" is not known
    return found


def test_reenactment(clip, models, devices):
    judged = reenact.reenact_clip(clip, models, Networks(), every=1, most=1)
    assert devices == ["meta", "meta"] and judged.figures()["faces"] == 1  # the copied source and the result


def test_stitching(clip, models, devices):
    assert stitching.stitch_clip(clip, clip, models, every=1, most=1).figures()["border"] == 0
    assert devices == ["meta"] * 4  # given, at rest, with stitching and without


def test_retargeting(clip, models, devices, monkeypatch):
    measured = []

    def openness(motion):
        measured.append(motion.lip_ratio.device.type)

    monkeypatch.setattr(retargeting, "RATIOS", {"eyes": openness, "lips": openness})
    monkeypatch.setattr(retargeting, "ASKED", (0.2,))
    assert np.isnan(retargeting.retarget_clip(clip, models).figures()["lips at 0.2"])
    assert devices == ["meta"] * 3  # at rest, eyes and lips
    assert measured == ["meta"] * 6
