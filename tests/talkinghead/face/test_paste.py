"""Paste-back: the published rule on golden vectors, and what a user sees."""

import numpy as np
import pytest
from geometry_golden import geometry, golden_mask, golden_picture

from talkinghead.face.crop import CropFrame, FaceRect, cut, frame_face
from talkinghead.face.paste import PasteBack, feathered_mask, overlap_mask


def frame_at(center, side, size=512, angle=0.0):
    return CropFrame.around(FaceRect(np.array(center, np.float32), side, angle), size)


@pytest.fixture
def scene():
    """A smooth picture, 300 x 400."""
    ys, xs = np.mgrid[0:300, 0:400]
    waves = [127 + 120 * np.sin(xs / 23 + k) * np.cos(ys / 31 - k) for k in range(3)]
    return np.stack(waves, axis=-1).astype(np.uint8)


@pytest.mark.parametrize("name", ["pt203/rot25", "pt106/rot-40"])
def test_rule_is_upstreams(name):
    paste = PasteBack(golden_picture("picture"), frame_face(geometry()[f"{name}/points"]), mask=golden_mask())
    result = paste.paste(golden_picture("crop")).astype(int)
    assert np.abs(result[::8, ::8] - geometry()[f"{name}/paste/every8"]).max() <= 6
    blocks = result.reshape(30, 24, 30, 30, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(blocks, geometry()[f"{name}/paste/blocks"], atol=0.5)


@pytest.mark.parametrize("name", ["pt203/rot25", "pt106/rot-40"])
def test_mask_is_upstreams(name):
    black, white = np.zeros((720, 900, 3), np.uint8), np.full((512, 512, 3), 255, np.uint8)
    pasted = PasteBack(black, frame_face(geometry()[f"{name}/points"]), mask=golden_mask()).paste(white)
    golden = geometry()[f"{name}/paste/mask_every12"]
    assert np.abs(pasted[::12, ::12, 0] / 255 - golden).max() <= 0.008 + 1 / 255


@pytest.mark.parametrize("angle", [0.0, 0.3])
@pytest.mark.parametrize("side", [60, 150, 250])
def test_a_crop_pasted_back_gives_the_picture(scene, side, angle):
    frame = frame_at((210.3, 140.8), side, angle=angle)
    result = PasteBack(scene, frame).paste(cut(scene, frame))
    assert np.abs(result.astype(int) - scene).max() <= 2


def test_only_the_box_changes(scene):
    result = PasteBack(scene, frame_at((200, 150), 100)).paste(np.zeros((512, 512, 3), np.uint8))
    assert result[150, 200].max() == 0
    outside = np.ones(scene.shape[:2], bool)
    outside[100:201, 150:251] = False
    np.testing.assert_array_equal(result[outside], scene[outside])


def test_the_mask_fades_without_a_step(scene):
    white = np.full((300, 400, 3), 255, np.uint8)
    row = PasteBack(white, frame_at((200, 150), 200)).paste(np.zeros((512, 512, 3), np.uint8))[150, :, 0].astype(int)
    assert row[100] >= 250
    assert row[115] == 0
    assert np.abs(np.diff(row)).max() < 60


def test_crops_of_another_size(scene):
    frame = frame_at((200, 150), 180, angle=0.1)
    small = cut(scene, frame.resized(256))
    result = PasteBack(scene, frame, crop_size=256).paste(small)
    assert np.abs(result.astype(int) - scene).max() <= 3


def test_a_face_at_the_picture_s_edge(scene):
    frame = frame_at((5, 295), 200)
    result = PasteBack(scene, frame).paste(np.zeros((512, 512, 3), np.uint8))
    assert result.shape == scene.shape
    assert result[295, 5].max() == 0


@pytest.mark.parametrize("center", [(200, 150), (-40, 150), (440, 150), (200, -40), (200, 340), (-40, -40), (440, 340)])
def test_every_pixel_is_blended_by_its_weight_wherever_the_crop_lies(scene, center):
    """What is copied in the middle, and what is blended around it, are together the mask's rule."""
    frame, crop = frame_at(center, 200), np.full((512, 512, 3), 200, np.uint8)
    black = np.zeros_like(scene)
    share = PasteBack(black, frame).paste(np.full((512, 512, 3), 255, np.uint8)) / 255
    expected = share * 200 + (1 - share) * scene
    np.testing.assert_allclose(PasteBack(scene, frame).paste(crop), expected, atol=2)


def test_a_mask_that_is_full_up_to_the_edge_leaves_nothing_to_blend(scene):
    frame = frame_at((200, 150), 600)
    crop = np.full((512, 512, 3), 9, np.uint8)
    result = PasteBack(scene, frame, mask=np.full((64, 64), 255, np.uint8)).paste(crop)
    assert (result == 9).all()


def test_a_crop_beside_the_picture_changes_nothing(scene):
    result = PasteBack(scene, frame_at((-500, 100), 200)).paste(np.zeros((512, 512, 3), np.uint8))
    np.testing.assert_array_equal(result, scene)


def test_results_are_their_own_unless_one_is_given(scene):
    paste = PasteBack(scene, frame_at((200, 150), 100))
    black, white = np.zeros((512, 512, 3), np.uint8), np.full((512, 512, 3), 255, np.uint8)
    first, second = paste.paste(black), paste.paste(white)
    assert first[150, 200].max() == 0
    assert second[150, 200].min() == 255
    assert paste.paste(white, out=first) is first
    np.testing.assert_array_equal(first, second)


def test_small_faces_do_not_flicker(scene):
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::4] = 255
    paste = PasteBack(scene, frame_at((200, 150), 100))
    frames = [paste.paste(np.roll(stripes, shift, axis=1))[120:180, 170:230].astype(int) for shift in (0, 1, 2)]
    assert max(np.abs(a - frames[0]).max() for a in frames) < 100


def test_wrong_crop_size_is_an_error(scene):
    with pytest.raises(ValueError, match=r"\(512, 512, 3\), got \(256, 256, 3\)"):
        PasteBack(scene, frame_at((200, 150), 100)).paste(np.zeros((256, 256, 3), np.uint8))


def test_feathered_mask():
    mask = feathered_mask(100, feather=0.1)
    assert mask.shape == (100, 100)
    assert mask[50, 50] == 255
    assert mask[0].max() == 0
    np.testing.assert_array_equal(mask, mask[::-1].T)


def test_neighbours_crops_meet_in_a_narrow_border():
    """Two faces of 100 pixels stand 100 pixels apart; between them a crop ends within a few pixels of the middle."""
    own, other = (FaceRect(np.array([x, 200], np.float32), 100.0, 0.0) for x in (200, 300))
    row = overlap_mask(CropFrame.around(FaceRect(own.center, 400.0, 0.0), 400), own, [other], 400)[200].astype(int)
    assert row[100:235].min() == 255
    assert row[265:].max() == 0
    assert row[250] == pytest.approx(128, abs=10)
    assert np.abs(np.diff(row[200:300])).max() < 40
