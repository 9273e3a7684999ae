"""Pictures without colours stay without."""

import cv2
import numpy as np
import pytest

import talkinghead
from talkinghead.cli.demo import demo_inputs
from talkinghead.face.crop import CropFrame
from talkinghead.face.tone import ToneFinder, find_tone
from talkinghead.media.image import read_image

SIDE = 64
WHOLE = CropFrame(SIDE, np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32))


def sepia(grey):
    """Brown from black to white, as an old print is."""
    share = grey[..., None] / 255.0
    return (255 * (share + share * (1 - share) * (0.3, 0.0, -0.3))).round().astype(np.uint8)


@pytest.fixture
def grey():
    noise = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    return cv2.resize(noise, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)


def test_a_grey_picture_is_shown_as_it_is_and_paint_on_it_turns_grey(grey):
    picture = cv2.merge([grey] * 3)
    tone = find_tone(picture, WHOLE)
    assert tone is not None
    assert np.array_equal(tone.apply(picture[None])[0], picture)
    red = np.full((1, 4, 4, 3), (200, 60, 60), np.uint8)
    assert (tone.apply(red) == cv2.cvtColor(red[0], cv2.COLOR_RGB2GRAY)[0, 0]).all()


def test_a_sepia_picture_keeps_its_brown(grey):
    picture = sepia(grey)
    noisy = np.clip(picture + np.random.default_rng(1).normal(0, 0.7, picture.shape), 0, 255).astype(np.uint8)
    tone = find_tone(noisy, WHOLE)
    assert tone is not None
    assert np.abs(tone.apply(picture[None])[0].astype(int) - picture).max() <= 3


def test_a_picture_with_few_colours_has_no_tone(grey):
    picture = cv2.merge([grey] * 3)
    picture[:20, :20, 0] = np.minimum(picture[:20, :20, 0], 225) + 30  # something pale red
    assert find_tone(picture, WHOLE) is None


def test_the_tone_of_a_film_does_not_come_and_go(grey):
    """Frames just below and above the limit are judged as the first of them; real colours end the tone."""
    frames = []
    for amount in (7, 9, 7, 9, 40):
        picture = cv2.merge([grey] * 3).astype(int)
        picture[::2, :, 0] += amount
        frames.append(picture.clip(0, 255).astype(np.uint8))
    assert [find_tone(frame, WHOLE) is None for frame in frames] == [False, True, False, True, True]
    for start in (0, 1):
        tones = ToneFinder()
        assert [tones.find(frame, WHOLE) is None for frame in frames[start:]] == [start == 1] * (4 - start) + [True]


def test_a_grey_portrait_speaks_without_colours():
    portrait, _ = demo_inputs()
    picture = cv2.merge([cv2.cvtColor(read_image(portrait), cv2.COLOR_RGB2GRAY)] * 3)
    voice = 0.3 * np.sin(2 * np.pi * 220 * np.arange(6400) / 16_000).astype(np.float32)
    pictures = list(talkinghead.stream(picture, [voice]))
    assert len(pictures) == 10
    assert all((shown == shown[..., :1]).all() for shown in pictures)
    assert any((shown != picture).any() for shown in pictures)
