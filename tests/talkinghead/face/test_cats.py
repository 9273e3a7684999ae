"""The face of a cat, for the animal model."""

import numpy as np
import pytest
from drawn_face import drawn_face

from talkinghead.face.cats import find_cat
from talkinghead.media.image import read_image


def test_people_and_noise_are_no_cats():
    assert find_cat(drawn_face(300)) is None
    assert find_cat(np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)) is None


@pytest.mark.shared
def test_a_cat_is_found_from_eyes_to_mouth(shared):
    picture = read_image(shared / "data" / "inputs" / "portraits" / "p13_cat.jpg")
    cat = find_cat(picture)
    scale = max(picture.shape[:2]) / 640
    assert cat.center == pytest.approx(np.array([317, 320]) * scale, abs=25 * scale)
    assert cat.size == pytest.approx(265 * scale, rel=0.15)
