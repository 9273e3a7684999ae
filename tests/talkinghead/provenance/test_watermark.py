"""The watermark is found again, says what it was given, is not seen, and is not found where it is not."""

from fractions import Fraction

import cv2
import numpy as np
import pytest
from PIL import Image

from talkinghead import ProvenanceOptions
from talkinghead.media.formats import GIF, WEBM, WEBM_ALPHA, WEBP
from talkinghead.media.video import VideoWriter, read_frames
from talkinghead.media.yuv import YuvConverter
from talkinghead.provenance.detection import (
    IN_PLACE,
    LIKELY,
    SURE,
    find_watermark,
    is_found,
    look_in_place,
    pool,
    search,
    search_everywhere,
)
from talkinghead.provenance.error_correction import CODED_BITS, decode, encode
from talkinghead.provenance.label import Label
from talkinghead.provenance.marks import Marks
from talkinghead.provenance.pattern import TILE, spread, tile
from talkinghead.provenance.pictures import write_picture
from talkinghead.provenance.verify import verify
from talkinghead.provenance.watermark import LUMA_SHARE, Watermark

PAYLOAD = 0x0123456789ABCDEF
RNG = np.random.default_rng(0)


def scene(height=256, width=320, seed=0):
    """A picture with light, edges and texture, as photographs have."""
    rng = np.random.default_rng(seed)
    sum_of_scales = np.zeros((height, width), np.float32)
    for side in (4, 8, 16, 32, 64):
        noise = rng.normal(size=(side, side)).astype(np.float32)
        sum_of_scales += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC) * 60 / side
    cv2.circle(sum_of_scales, (width // 2, height // 2), height // 3, 30, -1)
    return np.clip(128 + 2 * sum_of_scales, 0, 255).astype(np.uint8)


SCENE = scene()
MARKED = Watermark(PAYLOAD).lay(SCENE)


def screenshot(picture):
    screen = np.full((400, 600), 240, np.uint8)
    shown = cv2.resize(picture, None, fx=1.2, fy=1.2, interpolation=cv2.INTER_AREA)
    screen[40 : 40 + len(shown), 100 : 100 + shown.shape[1]] = shown
    return cv2.imdecode(cv2.imencode(".jpg", screen, [cv2.IMWRITE_JPEG_QUALITY, 80])[1], 0)


@pytest.mark.parametrize(
    "attack",
    [
        lambda picture: picture,
        lambda picture: cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 70])[1], 0),
        lambda picture: cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
        lambda picture: picture[13:-13, 16:-16],
        screenshot,
    ],
)
def test_it_survives(attack):
    assert find_watermark([attack(MARKED)]).payload == f"{PAYLOAD:016x}"


def test_in_whole_pictures_it_is_found_without_a_search():
    smaller = cv2.resize(MARKED, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    for whole in (MARKED, smaller):
        found = search([whole])
        assert found.in_place and found.score >= IN_PLACE
    cropped = search([MARKED[13:-13, 16:-16]])
    assert not cropped.in_place and is_found(cropped)
    pooled = pool([scene(seed=1)])
    assert not is_found(look_in_place(pooled)) and not is_found(search_everywhere(pooled))


def test_blurred_shapes_hide_nothing():
    blurred = cv2.GaussianBlur(scene(), (0, 0), 6)
    error = Watermark(PAYLOAD).lay(blurred).astype(float) - blurred
    assert np.sqrt(np.mean(error**2)) < 0.8


def test_it_is_not_seen_and_not_found_where_it_is_not():
    error = MARKED.astype(float) - SCENE
    assert 10 * np.log10(255**2 / np.mean(error**2)) > 42 and np.abs(error).max() <= 12
    for seed in range(3):
        assert find_watermark([scene(seed=seed)]) is None
    for empty in (np.zeros((64, 64), np.uint8), np.full((3, 2000), 255, np.uint8), np.eye(300, dtype=np.uint8) * 255):
        assert find_watermark([empty]) is None
    assert find_watermark([]) is None and LIKELY < SURE


def test_flat_parts_get_little_of_it_also_beside_an_edge():
    picture = np.full((720, 1280), 128, np.uint8)
    picture[:, 640:] = 230
    marked = Watermark(PAYLOAD).lay(picture)
    error = marked.astype(float) - picture
    for flat in (error[:, :620], error[:, 660:]):
        assert 0.3 < np.sqrt(np.mean(flat**2)) < 0.7
    assert np.sqrt(np.mean(error[:, 600:620] ** 2)) < 0.9
    assert find_watermark([marked]).payload == f"{PAYLOAD:016x}"


def test_a_long_thin_picture_is_no_long_work():
    assert search([RNG.integers(0, 255, (2, 20_000), np.uint8)]).score < SURE


@pytest.mark.parametrize("kind", [None, WEBM, WEBM_ALPHA])
def test_frames_of_a_video_are_pooled(tmp_path, kind):
    colour = np.stack([SCENE] * (4 if kind is WEBM_ALPHA else 3), 2)
    if kind is WEBM_ALPHA:
        colour[..., 3] = 255
    file = tmp_path / f"a{kind.suffix if kind else '.mp4'}"
    marks = Marks(ProvenanceOptions(c2pa=False), SCENE)
    with VideoWriter(file, Fraction(25), SCENE.shape, None, 24, *([kind] if kind else []), marks=marks) as writer:
        for n in range(4):
            moved = colour.copy()
            moved[100:140, 100 + n : 160 + n] = 90
            writer.write(moved)
    shown = [cv2.cvtColor(frame.picture, cv2.COLOR_RGB2GRAY) for frame in read_frames(file)]
    assert find_watermark(shown).payload == f"{marks.payload:016x}"


@pytest.mark.parametrize("kind", [WEBP, GIF])
def test_the_watermark_of_an_animation_is_found(tmp_path, kind):
    file, picture = tmp_path / f"a{kind.suffix}", np.stack([SCENE] * 3, 2)
    marks = Marks(ProvenanceOptions(c2pa=False), picture)
    with VideoWriter(file, Fraction(25), SCENE.shape, kind=kind, marks=marks) as writer:
        for n in range(6):
            moved = picture.copy()
            moved[100:140, 100 + n : 160 + n] = 90
            writer.write(moved)
    found = verify(file)
    assert found.verdict == "unsigned" and found.watermark and found.unsearched is None


def test_only_what_changed_is_marked_anew():
    first = np.stack([SCENE] * 3, 2)
    second = first.copy()
    second[101:130, 57:90] = 10
    one = YuvConverter(Watermark(PAYLOAD, LUMA_SHARE))
    one.convert(first)
    whole = Watermark(PAYLOAD, LUMA_SHARE)
    whole.lay(YuvConverter().convert(first).to_ndarray()[:256])
    expected = whole.lay(YuvConverter().convert(second).to_ndarray()[:256])
    assert np.array_equal(one.convert(second).to_ndarray()[:256], expected)


def test_pictures_carry_the_hash_of_their_source(tmp_path):
    source = tmp_path / "source.png"
    Image.fromarray(SCENE).save(source)
    file = tmp_path / "out.jpg"
    write_picture(np.stack([SCENE] * 3, 2), file, Marks(source=source))
    found = find_watermark([np.array(Image.open(file).convert("L"))])
    assert found.payload == Marks(source=source).hashes[str(source)][:16]
    write_picture(np.stack([SCENE] * 3, 2), file, Marks(ProvenanceOptions(watermark=False)), overwrite=True)
    assert find_watermark([np.array(Image.open(file).convert("L"))]) is None


def test_the_code_corrects_errors_and_refuses_noise():
    word = encode(PAYLOAD)
    assert word.shape == (CODED_BITS,) and set(word) == {-1.0, 1.0}
    assert decode(word) == PAYLOAD
    assert decode(word + RNG.normal(size=CODED_BITS)) == PAYLOAD  # a sixth of all signs are wrong
    assert decode(RNG.normal(size=CODED_BITS)) is None and decode(np.zeros(CODED_BITS)) is None


def test_the_tile_repeats_and_scales_with_the_picture():
    pattern = tile(PAYLOAD)
    assert pattern.shape == (TILE, TILE) and abs(pattern.std() - 1) < 1e-5
    shown = spread(pattern, (256, 400))
    assert np.allclose(shown[:128, :128], pattern, atol=1e-3) and np.allclose(shown[128:, 128:256], pattern, atol=1e-3)
    twice = spread(pattern, (512, 800))
    assert np.allclose(
        cv2.resize(twice, (400, 256), interpolation=cv2.INTER_AREA)[9:99, 9:99], shown[9:99, 9:99], atol=0.3
    )


def test_the_label_is_drawn_where_it_fits(tmp_path):
    for size in ((256, 320), (64, 64), (16, 16)):
        picture = np.full((*size, 3), 200, np.uint8)
        labelled = Label("AI-generated", size).draw(picture)
        assert labelled.shape == picture.shape and (picture == 200).all()
        assert (labelled[: size[0] // 2] != 200).any() and (size[0] < 20 or (labelled[-2:] == 200).all())
    alpha = Label("AI", (64, 64)).draw(np.zeros((64, 64, 4), np.uint8))
    assert alpha[..., 3].max() > 140
    marks = Marks(ProvenanceOptions(label="AI-generated", c2pa=False))
    write_picture(np.full((128, 200, 3), 90, np.uint8), tmp_path / "a.png", marks)
    assert np.array(Image.open(tmp_path / "a.png")).max() == 255
