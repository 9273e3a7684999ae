"""Only what changed is converted, and nobody can tell."""

import numpy as np
import pytest

from talkinghead.media.yuv import YuvConverter, changed_box, to_yuv


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


@pytest.mark.parametrize("size", [(120, 160), (90, 70), (48, 46)])
def test_pictures_with_changed_parts_are_those_converted_whole(size):
    converter, picture, height, width = YuvConverter(), noise(size), *size
    boxes = [(0, 5, 0, 7), (31, 33, 40, 41), (height - 3, height, width - 1, width), (0, height, 0, width)]
    for seed, (top, bottom, left, right) in enumerate([(0, 0, 0, 0), *boxes, (0, 0, 0, 0)]):
        picture = picture.copy()
        picture[top:bottom, left:right] = noise((bottom - top, right - left), seed)
        assert np.array_equal(converter.convert(picture).to_ndarray(), to_yuv(picture).to_ndarray())


def test_the_frames_keep_their_colour_matrix():
    converter, whole = YuvConverter(), to_yuv(noise((32, 32)))
    for seed in range(2):
        frame = converter.convert(noise((32, 32), seed))
        assert (frame.colorspace, frame.color_range) == (whole.colorspace, whole.color_range)


def test_earlier_frames_do_not_change():
    converter = YuvConverter()
    first = converter.convert(noise((32, 32)))
    kept = first.to_ndarray()
    converter.convert(noise((32, 32), 1))
    assert np.array_equal(first.to_ndarray(), kept)


def test_the_box_of_a_change():
    before = np.zeros((20, 30, 3), np.uint8)
    assert changed_box(before, before.copy()) is None
    after = before.copy()
    after[4, 7, 1] = after[9, 3, 2] = 1
    assert changed_box(before, after) == (slice(4, 10), slice(3, 8))


def test_lines_of_whole_words_are_compared_by_words():
    before = np.zeros((20, 32, 3), np.uint8)
    after = before.copy()
    after[4, 9, 1] = after[9, 3, 2] = 1
    rows, columns = changed_box(before, after) or (None, None)
    assert rows == slice(4, 10)
    assert columns == slice(2, 11)  # bytes 8 to 32
