"""One person's faces are alike, two people's are not; without the packages a line says what to install."""

import numpy as np
import pytest
from drawn_face import drawn_face

from talkinghead.cli.demo import demo_inputs
from talkinghead.face import FaceTracker, recognise
from talkinghead.face.recognise import (
    SAME_PERSON,
    FaceRecogniser,
    RecogniserMissingError,
    face_distance,
    identity_similarity,
)
from talkinghead.media.image import read_image


def test_distances_of_descriptors():
    a, b = np.array([3, 4], np.float32), np.array([4, -3], np.float32)
    assert face_distance(a, b) == pytest.approx(np.sqrt(50)) and identity_similarity(a, b) == pytest.approx(0, abs=1e-6)
    assert identity_similarity(a, 2 * a) == pytest.approx(1)


def test_people_are_told_apart():
    pytest.importorskip("dlib")
    network = FaceRecogniser()
    portrait = read_image(demo_inputs().portrait)
    bright = (portrait.astype(int) * 6 // 5).clip(0, 255).astype(np.uint8)
    points = FaceTracker().track(portrait)
    own, again = network.describe(portrait, points), network.describe(bright, points)
    other = drawn_face(256)
    stranger = network.describe(other, FaceTracker().track(other))
    assert own.shape == (128,) and face_distance(own, again) < SAME_PERSON / 2
    assert face_distance(own, stranger) > SAME_PERSON
    assert identity_similarity(own, again) > identity_similarity(own, stranger)


def test_missing_packages_are_named(monkeypatch):
    def fail(name):
        raise ImportError(name)

    monkeypatch.setattr(recognise, "import_module", fail)
    with pytest.raises(RecogniserMissingError, match="pip install"):
        FaceRecogniser()


def test_missing_weights_are_named(monkeypatch):
    pytest.importorskip("dlib")
    monkeypatch.setattr(recognise, "find_spec", lambda name: None)
    with pytest.raises(RecogniserMissingError, match="weights that recognise faces are not installed"):
        FaceRecogniser()
