"""Frames of every matrix, range, transfer and pixel shape give the picture that was meant."""

from fractions import Fraction

import av
import numpy as np
import pytest

from talkinghead.media.colour import narrowed, shown_size, to_picture
from talkinghead.media.video import probe_video, read_frames

COLOURS = [(200, 30, 40), (30, 180, 60), (40, 60, 220), (255, 255, 255), (0, 0, 0)]
PQ, HLG = 16, 18


def coded(rgb, kr, kb, *, full):
    """Return Y, Cb, Cr of an RGB colour, as the standards define them."""
    red, green, blue = (value / 255 for value in rgb)
    y = kr * red + (1 - kr - kb) * green + kb * blue
    cb, cr = (blue - y) / (2 - 2 * kb), (red - y) / (2 - 2 * kr)
    return (255 * y, 255 * cb + 128, 255 * cr + 128) if full else (16 + 219 * y, 128 + 224 * cb, 128 + 224 * cr)


def plain(values, size=(64, 64)):
    frame = av.VideoFrame(*size, "yuv444p")
    for plane, value in zip(frame.planes, values, strict=True):
        plane.update(np.full(plane.buffer_size, np.clip(round(value), 0, 255), np.uint8).tobytes())
    return frame


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("matrix", "kr", "kb", "size"),
    [
        (1, 0.2126, 0.0722, (64, 64)),
        (5, 0.299, 0.114, (64, 64)),
        (6, 0.299, 0.114, (64, 64)),
        (9, 0.2627, 0.0593, (64, 64)),
        (2, 0.299, 0.114, (64, 64)),  # not said: by the size
        (2, 0.2126, 0.0722, (1280, 720)),
    ],
)
def test_matrices_and_ranges(matrix, kr, kb, size, full):
    for rgb in COLOURS:
        frame = plain(coded(rgb, kr, kb, full=full), size)
        frame.colorspace, frame.color_range = matrix, 2 if full else 1
        assert to_picture(frame, size)[20, 20] == pytest.approx(rgb, abs=2)


def test_wide_colours_are_brought_to_bt_709():
    """White stays white, and a red that BT.709 has comes out as it is there."""
    red = np.array([0.6274, 0.0691, 0.0164]) ** (1 / 2.4)  # BT.709's red in BT.2020
    codes = np.stack([np.ones(3), red, np.full(3, 0.5)])[None] * 65535
    assert narrowed(codes.astype(np.uint16), 14)[0] == pytest.approx(
        np.array([[255, 255, 255], [255, 0, 0], [128, 128, 128]]), abs=4
    )


@pytest.mark.parametrize(
    ("trc", "code", "expected"),
    [
        (HLG, 0.0, 0),
        (HLG, 0.5, 255 * (50.7 / 203) ** (1 / 2.4)),  # 50.7 cd/m² on a display of 1,000
        (PQ, 0.4401, 255 * (50.7 / 203) ** (1 / 2.4)),
        (HLG, 1.0, 255),
        (PQ, 1.0, 255),
    ],
)
def test_hdr_is_toned_down_to_its_white(trc, code, expected):
    gray = np.full((1, 1, 3), round(code * 65535), np.uint16)
    assert narrowed(gray, trc)[0, 0] == pytest.approx([expected] * 3, abs=2)


@pytest.mark.parametrize("trc", [PQ, HLG])
def test_the_tone_curve_rises_to_the_peak(trc):
    ramp = np.linspace(0, 65535 * (0.75 if trc == PQ else 1), 400).astype(np.uint16)  # up to 1,000 cd/m²
    shown = narrowed(np.repeat(ramp[None, :, None], 3, axis=2), trc)[0, :, 0].astype(int)
    assert (np.diff(shown) >= 0).all() and shown[-1] == pytest.approx(255, abs=1)
    assert shown[np.searchsorted(ramp, 65535 * (0.58 if trc == PQ else 0.75))] < 240  # white leaves room for lights


def test_an_hlg_file_is_read_as_its_tags_say(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace, context.color_range = HLG, 9, 9, 1
        gray = np.full((48, 64, 3), 32768, np.uint16)
        frame = av.VideoFrame.from_ndarray(gray, format="rgb48le").reformat(format="yuv420p10le", dst_colorspace=9)
        for _ in range(2):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert next(read_frames(tmp_path / "a.mp4")).picture[20, 20] == pytest.approx([143] * 3, abs=2)


@pytest.mark.parametrize(
    ("aspect", "size"),
    [
        (None, (48, 36)),
        (Fraction(4, 3), (64, 36)),
        (Fraction(3, 4), (48, 48)),
        (Fraction(1001, 1000), (48, 36)),
        (Fraction(1000), (48, 36)),
    ],
)
def test_pixels_become_square(aspect, size):
    assert shown_size(av.VideoFrame(48, 36, "rgb24"), aspect) == size


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_a_file_of_wide_pixels_is_read_as_it_is_shown(tmp_path, suffix):
    file = tmp_path / f"a.{suffix}"
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 48, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        half = np.zeros((48, 48, 3), np.uint8)
        half[:, 24:] = 200
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(half)))
        container.mux(stream.encode(None))
    picture = next(read_frames(file)).picture
    assert picture.shape == (48, 64, 3) and probe_video(file).size == (48, 64)
    assert picture[:, :28].max() < 20 and picture[:, 36:].min() > 180
