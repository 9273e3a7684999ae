"""Pictures of every kind come out as RGB, upright and in eight bits; what is no picture is one clear line."""

import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from talkinghead.errors import ImageError, InputNotFoundError, VideoError
from talkinghead.media import picture_formats
from talkinghead.media.heif import check_texts
from talkinghead.media.image import check_picture, is_still, limit_size, read_animation, read_image
from talkinghead.media.video import read_picture_or_video

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def corners(width=64, height=48):
    """Draw red, green, blue and white quarters."""
    picture = np.zeros((height, width, 3), np.uint8)
    top, left = slice(0, height // 2), slice(0, width // 2)
    bottom, right = slice(height // 2, None), slice(width // 2, None)
    picture[top, left], picture[top, right] = RED, GREEN
    picture[bottom, left], picture[bottom, right] = BLUE, WHITE
    return picture


def corner_colors(picture):
    return [tuple(int(v) for v in picture[y, x]) for y in (4, -4) for x in (4, -4)]


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp", "jpg", "avif"])
def test_formats(tmp_path, suffix):
    file = tmp_path / f"a.{suffix}"
    Image.fromarray(corners()).save(file, **({"lossless": True} if suffix == "webp" else {}))
    picture = read_image(file)
    assert picture.shape == (48, 64, 3) and picture.dtype == np.uint8
    assert np.abs(picture[4, 4].astype(int) - RED).max() < 6
    assert is_still(file)


def test_heic_is_turned_once():
    """Made by libheif from `corners()`; both its own rotation and its EXIF data say that it lies on its side."""
    picture = read_picture_or_video(Path(__file__).with_name("turned.heic"))
    assert picture.shape == (64, 48, 3)
    assert np.abs(np.subtract(corner_colors(picture), [BLUE, RED, WHITE, GREEN])).max() < 4


def box(kind, *content):
    data = b"".join(content)
    return struct.pack(">I4s", 8 + len(data), kind) + data


def heif(*items, urn=b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"):
    """Return the boxes of a HEIF file without a picture."""
    properties = box(b"iprp", box(b"ipco", box(b"ispe", bytes(12)), box(b"auxC", bytes(4), urn, b"\0\xe9")))
    entries = [box(b"infe", item) for item in items]
    listed = box(b"iinf", bytes(4), struct.pack(">H", len(items)), *entries)
    return box(b"ftyp", b"heic", bytes(4)) + box(b"meta", bytes(4), listed, properties) + box(b"mdat", b"\xe9")


ID = struct.pack(">HH", 2, 0)


def test_damaged_texts_of_heif(tmp_path):
    """The library that reads HEIC would crash."""
    good = [
        b"\2\0\0\0" + ID + b"mimena\xe9me\0image/x\0",
        b"\3\0\0\0\0\0" + ID + b"Exif\0",
        b"\1\0\0\0" + ID + b"a\0b\0",
    ]
    check_texts(heif(*good))
    for damaged in (
        heif(b"\2\0\0\0" + ID + b"Ex\xe9f\0"),
        heif(*good, b"\3\0\0\0\0\0" + ID + b"Exi\xc3\xa9\0"),
        heif(b"\2\0\0\0" + ID + b"mime\0im\xe9ge\0"),
        heif(b"\1\0\0\0" + ID + b"a\0\xe9\0"),
        heif(urn=b"urn:\xe9"),
    ):
        (tmp_path / "a.heic").write_bytes(damaged)
        with pytest.raises(ImageError, match=r"a\.heic: not a picture that can be read \(.* is damaged\); export"):
            read_image(tmp_path / "a.heic")
    large = struct.pack(">I4sQ", 1, b"free", 1 << 60)  # a size of 64 bits
    for nonsense in (
        b"",
        bytes(7),
        bytes(8),
        struct.pack(">I4s", 7, b"meta"),
        large,
        box(b"iinf"),
        box(b"infe", b"\2"),
    ):
        check_texts(nonsense)
    with pytest.raises(ValueError, match="more than 100,000 boxes"):
        check_texts(box(b"free") * 100_001)


@pytest.mark.parametrize(("suffix", "kind"), [("jpg", "MPO"), ("tiff", "TIFF")])
def test_of_several_pictures_the_first_counts(tmp_path, suffix, kind):
    first, second = Image.fromarray(corners()), Image.new("RGB", (64, 48))
    first.save(tmp_path / f"a.{suffix}", kind, save_all=True, append_images=[second])
    picture = read_picture_or_video(tmp_path / f"a.{suffix}")
    assert np.abs(picture[4, 4].astype(int) - RED).max() < 6


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "avif"])
def test_animations_are_videos(tmp_path, suffix):
    file = tmp_path / f"a.{suffix}"
    Image.fromarray(corners()).save(file, save_all=True, append_images=[Image.new("RGB", (64, 48))], duration=40)
    assert not is_still(file)
    assert np.abs(read_image(file)[4, 4].astype(int) - RED).max() < 6
    if suffix == "webp":  # FFmpeg cannot decode these
        with pytest.raises(VideoError, match=r"a\.webp: an animation, which counts as a video, .* convert it to mp4"):
            read_picture_or_video(file)
    else:
        assert read_picture_or_video(file).size == (48, 64)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "avif"])
def test_an_animation_is_read_up_to_its_damage(tmp_path, suffix):
    file, levels = tmp_path / f"a.{suffix}", (40, 120, 200)
    noise = np.random.default_rng(0).integers(0, 40, (3, 48, 64), np.uint8)
    first, *others = (Image.fromarray(level + part) for level, part in zip(levels, noise, strict=True))
    first.save(file, save_all=True, append_images=others, duration=40)
    assert [picture.mean() for picture in read_animation(file)] == pytest.approx([60, 140, 220], abs=3)
    if suffix == "gif":  # the others are read by libraries that want all of the file
        file.write_bytes(file.read_bytes()[:-1000])
        assert len(list(read_animation(file))) == 2
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(ImageError, match=re.escape(str(file))):
        next(read_animation(file))


def test_frames_are_not_counted_to_tell_an_animation(tmp_path, monkeypatch):
    file = tmp_path / "a.gif"
    Image.fromarray(corners()).save(file, save_all=True, append_images=[Image.new("RGB", (64, 48))] * 3)
    sought, seek = [], picture_formats.GifImageFile._seek
    monkeypatch.setattr(
        picture_formats.GifImageFile, "_seek", lambda self, n, *a: sought.append(n) or seek(self, n, *a)
    )
    assert not is_still(file) and max(sought) <= 1


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (3, [WHITE, BLUE, GREEN, RED]),
        (6, [BLUE, RED, WHITE, GREEN]),
        (8, [GREEN, WHITE, RED, BLUE]),
        (2, [GREEN, RED, WHITE, BLUE]),
    ],
)
def test_exif_orientation_is_obeyed(tmp_path, orientation, upright):
    image, exif = Image.fromarray(corners()), Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    picture = read_image(tmp_path / "a.png")
    assert picture.shape == ((64, 48, 3) if orientation > 4 else (48, 64, 3))
    assert corner_colors(picture) == upright


def test_transparent_parts_lie_on_white(tmp_path):
    rgba = np.dstack([corners(), np.full((48, 64), 255, np.uint8)])
    rgba[:24, :32, 3], rgba[:24, 32:, 3] = 0, 51
    Image.fromarray(rgba).save(tmp_path / "a.png")
    assert corner_colors(read_image(tmp_path / "a.png")) == [WHITE, (204, 255, 204), BLUE, WHITE]


def test_palette_with_transparency(tmp_path):
    image = Image.fromarray(corners()).quantize(8)
    image.info["transparency"] = image.getpixel((2, 2))
    image.save(tmp_path / "a.png")
    assert corner_colors(read_image(tmp_path / "a.png"))[:2] == [WHITE, GREEN]


def test_grayscale_and_bilevel(tmp_path):
    ramp = np.tile(np.arange(64, dtype=np.uint8) * 4, (8, 1))
    Image.fromarray(ramp).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == ramp[..., None]).all()
    Image.fromarray(ramp > 128).save(tmp_path / "b.png")
    assert set(np.unique(read_image(tmp_path / "b.png"))) == {0, 255}


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bits_keep_their_brightness(tmp_path, suffix):
    values = np.array([[0, 257, 128 * 257, 65535]], np.uint16).repeat(4, 0)
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    assert read_image(tmp_path / f"a.{suffix}")[0, :, 0].tolist() == [0, 1, 128, 255]


def test_sixteen_bit_color(tmp_path):
    """A hand-made PNG: Pillow cannot write 16-bit RGB."""
    rows = b"".join(b"\0" + struct.pack(">6H", 65535, 32896, 0, 0, 257, 65535) for _ in range(2))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(data)
    assert read_image(tmp_path / "a.png")[0].tolist() == [[255, 128, 0], [0, 1, 255]]


def test_cmyk(tmp_path):
    Image.fromarray(corners()).convert("CMYK").save(tmp_path / "a.jpg", quality=100)
    picture = read_image(tmp_path / "a.jpg").astype(int)
    assert np.abs(np.subtract(corner_colors(picture), [RED, GREEN, BLUE, WHITE])).max() < 12


def test_color_profiles_are_applied_and_broken_ones_passed_over(tmp_path):
    profile_of_srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (profile_of_srgb, b"not a profile"):
        Image.fromarray(corners()).save(tmp_path / "a.png", icc_profile=profile)
        assert corner_colors(read_image(tmp_path / "a.png")) == [RED, GREEN, BLUE, WHITE]


def png_header(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    crc = zlib.crc32(b"IHDR" + header)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", crc)


def wrong(tmp_path, what):
    """Make one of the files that are no pictures."""
    file = tmp_path / f"{what}.png"
    whole = tmp_path / "whole.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(whole)
    content = {
        "empty": b"",
        "text": b"This is not a picture.\n" * 20,
        "truncated": whole.read_bytes()[:3000],
        "corrupt": whole.read_bytes()[:200] + b"\0" * 9000,
        "bomb": png_header(20_000, 20_000) + b"\0\0\0\0IEND\xaeB`\x82",
    }
    if what == "folder":
        file.mkdir()
    elif what in content:
        file.write_bytes(content[what])
    return file


@pytest.mark.parametrize("what", ["empty", "text", "truncated", "corrupt", "bomb", "folder", "missing"])
def test_what_is_no_picture_is_one_line(tmp_path, what):
    file = wrong(tmp_path, what)
    with pytest.raises(InputNotFoundError if what == "missing" else ImageError) as caught:
        read_image(file)
    message = str(caught.value)
    assert "\n" not in message and str(file) in message
    assert what != "bomb" or "20000 × 20000 pixels are too many" in message


def test_below_our_limit_pillow_does_not_object(tmp_path, recwarn, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    Image.fromarray(corners()).save(tmp_path / "large.png")
    assert read_image(tmp_path / "large.png").shape == (48, 64, 3)
    assert not recwarn.list and Image.MAX_IMAGE_PIXELS == 1000


def test_each_format_has_its_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_formats, "MAX_PIXELS", 64 * 48 - 1)
    for name in ("a.png", "a.jpg", "a.webp", "a.avif", "a.gif"):
        Image.fromarray(corners()).save(tmp_path / name)
    assert read_image(tmp_path / "a.jpg").shape == (48, 64, 3)
    for name in ("a.png", "a.webp", "a.avif", "a.gif"):
        with pytest.raises(ImageError, match=r"64 × 48 pixels are too many .* smaller copy"):
            read_image(tmp_path / name)


def test_scans_of_a_jpeg_are_counted_before_it_is_decoded(tmp_path, monkeypatch):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    comment = b"\xff\xda" * 200  # no scans: they lie in a segment
    image.save(tmp_path / "plain.jpg", comment=comment)
    image.save(tmp_path / "progressive.jpg", progressive=True)
    assert picture_formats.count_scans(tmp_path / "plain.jpg") == 1
    assert 5 < picture_formats.count_scans(tmp_path / "progressive.jpg") < 20
    data = (tmp_path / "plain.jpg").read_bytes()
    (tmp_path / "two.jpg").write_bytes(data + data)
    assert picture_formats.count_scans(tmp_path / "two.jpg") == 1
    (tmp_path / "cut.jpg").write_bytes(data[:300])
    assert picture_formats.count_scans(tmp_path / "cut.jpg") == 0
    monkeypatch.setattr(picture_formats, "MAX_SCANS", 4)
    with pytest.raises(ImageError, match="progressive JPEG of more than 4 scans"):
        read_image(tmp_path / "progressive.jpg")


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((4, 4, 3)),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.array(None),
        Image.new("RGB", (4, 4)),
        "a",
    ],
)
def test_arrays_are_checked(bad):
    with pytest.raises(ImageError, match="uint8 RGB array"):
        check_picture(bad)


def test_arrays_may_be_views():
    picture = check_picture(corners()[::-1, ::-1])
    assert picture.flags.c_contiguous and corner_colors(picture) == [WHITE, BLUE, GREEN, RED]


def test_limit_size_shrinks_and_never_enlarges():
    assert limit_size(corners(), 32).shape == (24, 32, 3)
    assert limit_size(corners(), 64).shape == limit_size(corners(), 1000).shape == (48, 64, 3)
