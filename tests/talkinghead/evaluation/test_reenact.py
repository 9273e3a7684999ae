"""Reenactment is judged alike for models of every size, and pose by landmarks alone."""

import numpy as np
import pytest
from official_tiny import picture

from liveportrait.official import OfficialPortrait
from liveportrait.training.sizes import SIZES
from talkinghead.evaluation.landmark_motion import face_figures
from talkinghead.evaluation.reenact import renderings


def test_small_models_are_compared_at_the_crops_size():
    model = OfficialPortrait(SIZES["tiny"], needs_landmarks=True).eval()
    crop = picture()
    shown = dict(renderings(model, model.encode(crop), crop))
    assert set(shown) == {"copy", "full"}
    assert all(each.shape == (512, 512, 3) for each in shown.values())


def test_pose_errors_come_from_landmarks():
    own = ((picture().landmarks[0].numpy() + np.array([1, 1, 0])) * 256).astype(np.float32)
    assert face_figures(own, own, 512)["apd deg"] == pytest.approx(0, abs=0.05)
    turned = (own - 256) @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]]) + 256
    assert face_figures(turned.astype(np.float32), own, 512)["apd deg"] > 10
    assert np.isnan(face_figures(None, own, 512)["apd deg"])
