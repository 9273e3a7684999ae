"""Layers: together they give the picture, the hole behind the person is filled, and unclear pictures stay whole."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from liveportrait.pictures import to_pictures
from talkinghead.face.layers import fill, is_clear, separate, split

SIDE = 256


@pytest.fixture
def scene():
    """A disc with a soft edge and dark strands before a light wall with stripes; and the wall alone."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    wall = np.stack([170 + 40 * np.sin(x / 9), 180 + y / 8, 150 + x / 8], 2)
    disc = (70 - np.hypot(x - 128, y - 140)).clip(-2, 2) / 4 + 0.5
    person = wall + disc[..., None] * (np.array([90, 50, 40]) - wall)
    person[66:75, 120:123] = 30
    return person.astype(np.uint8), wall.astype(np.uint8), disc


def composed(layers):
    return to_pictures(layers.background + layers.opacity * (layers.person - layers.background))[0].astype(int)


@pytest.mark.parametrize("shift", [0, 6, -6])
def test_layers_give_the_picture_even_if_the_opacity_is_wrong(scene, shift):
    picture, _, disc = scene
    layers = split(picture, np.roll(disc, shift, axis=1))
    assert np.abs(composed(layers) - picture).max() <= 1
    assert all(each.min() >= 0 and each.max() <= 1 for each in (layers.person, layers.opacity, layers.background))


def test_the_background_is_filled_near_the_person_and_kept_elsewhere(scene):
    picture, wall, disc = scene
    layers = split(picture, disc)
    background, opacity = to_pictures(layers.background)[0].astype(int), layers.opacity[0, 0].numpy()
    np.testing.assert_array_equal(background[opacity == 0], picture[opacity == 0])
    rim = (disc > 0.5) & (cv2.erode((disc > 0.5).astype(np.uint8), np.ones((21, 21))) == 0)
    assert np.abs(background - wall)[rim].mean() < 15 < np.abs(picture.astype(int) - wall)[rim].mean()
    assert opacity[140, 128] == 1 and (opacity[disc == 0] > 0.1).mean() < 0.03
    assert opacity[68, 121] > 0.5  # a strand outside the outline


@pytest.fixture
def blinds():
    """A dark disc before bright blinds, the blinds alone, and the disc."""
    y, x = np.mgrid[:512, :512].astype(np.float32)
    wall = np.repeat(np.where(np.sin(y / 2) > 0, 235, 150)[..., None], 3, 2).astype(np.float32)
    disc = (140 - np.hypot(x - 256, y - 280)).clip(-2, 2) / 4 + 0.5
    return (wall + disc[..., None] * (np.array([60, 45, 40]) - wall)).astype(np.uint8), wall, disc


def test_a_texture_beside_the_person_stays_in_the_background(blinds):
    picture, wall, disc = blinds
    layers = split(picture, cv2.blur(disc, (17, 17)))  # the opacity is as wide as the refined one
    background, opacity = to_pictures(layers.background)[0].astype(int), layers.opacity[0, 0].numpy()
    away = cv2.distanceTransform((disc == 0).astype(np.uint8), cv2.DIST_L2, 5)
    assert (opacity[away > 5] > 0.1).mean() < 0.01
    assert np.abs(background - wall)[(disc == 0)].mean() < 3
    inside = cv2.distanceTransform((disc > 0).astype(np.uint8), cv2.DIST_L2, 5)
    behind = (inside > 4) & (inside < 14)
    assert np.abs(background - wall)[behind].mean() < 12  # blurred: 42


def test_what_is_filled_continues_the_picture():
    x = np.broadcast_to(np.arange(64, dtype=np.float32)[None, :, None] * 2, (64, 64, 3))
    known = np.ones((64, 64), np.uint8)
    known[20:40, 20:40] = 0
    filled = fill(np.ascontiguousarray(x), known)
    np.testing.assert_array_equal(filled[known == 1], x[known == 1])
    assert np.abs(filled - x)[20:40, 20:23].max() < 12


def finding(probability):
    return SimpleNamespace(find=lambda _: probability.astype(np.float32))


def test_pictures_without_a_clear_person_have_no_layers(scene):
    picture, _, disc = scene
    assert separate(picture, finding(disc)) is not None
    for unclear in (np.zeros_like(disc), np.ones_like(disc), np.full_like(disc, 0.5), 1 - disc):
        assert not is_clear(unclear) and separate(picture, finding(unclear)) is None
    assert not is_clear(np.where(disc > 0, disc, 0.3))
