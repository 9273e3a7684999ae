"""Several faces in one picture follow several drivers; and what lies side by side in a preview."""

from pathlib import Path

import numpy as np
import pytest
from fake_models import SIDE, fake_models
from gray_videos import gray_video

import talkinghead
from talkinghead import CropOptions, DriveOptions, Options
from talkinghead.errors import OptionError
from talkinghead.face import FaceIndexError
from talkinghead.face.crop import CropFrame, FaceRect
from talkinghead.face.paste import feathered_mask, overlap_mask
from talkinghead.inputs.option_values import assign_drivers

pytestmark = pytest.mark.usefixtures("brightness_tracker")


@pytest.fixture
def picture():
    return np.full((480, 640, 3), 10, np.uint8)


def level(frame, x, y=240):
    return round(float(frame[y, x].mean()))


def test_each_face_follows_its_own_driver(tmp_path, picture):
    assigned = {0: gray_video(tmp_path / "a.mp4", [80, 100, 120]), 1: gray_video(tmp_path / "b.mp4", [200, 220])}
    models = fake_models()
    frames = list(talkinghead.reenact(picture, assigned, model=models))
    assert len(frames) == 3 and len(models.portrait.encoded) == 2
    assert [level(frame, 160) for frame in frames] == pytest.approx([80, 100, 120], abs=3)
    assert [level(frame, 480) for frame in frames] == pytest.approx([200, 220, 220], abs=3)  # it stays as it ended
    assert all(level(frame, 5, 5) == 10 for frame in frames)


def test_one_driver_may_move_several_faces(tmp_path, picture):
    driver = gray_video(tmp_path / "a.mp4", [90, 130])
    extracted = []

    def progress(frames, count, stage):
        extracted.append(count)
        return frames

    frames = list(talkinghead.reenact(picture, {0: driver, 1: driver}, model=fake_models(), progress=progress))
    for x in (160, 480):
        assert [level(frame, x) for frame in frames] == pytest.approx([90, 130], abs=3)
    assert len(extracted) == 1


def test_several_faces_of_a_source_video(tmp_path):
    source = gray_video(tmp_path / "s.mp4", [40] * 4, size=(240, 320))
    assigned = {0: gray_video(tmp_path / "a.mp4", [120] * 4), 1: gray_video(tmp_path / "b.mp4", [220] * 4)}
    models = fake_models()
    frames = list(talkinghead.reenact(source, assigned, model=models))
    assert len(frames) == 4 and len(models.portrait.encoded) == 8
    # the stand-in sees the face where it always is; the second one's crop lies over the first one's
    assert {frame.shape for frame in frames} == {(240, 320, 3)} and all(level(frame, 32, 24) > 100 for frame in frames)


def test_what_several_faces_do_not_go_with(tmp_path, picture):
    assigned = {0: gray_video(tmp_path / "a.mp4", [80]), 1: gray_video(tmp_path / "b.mp4", [80])}

    def reenact(assigned=assigned, drive=None, **crop):
        options = Options(CropOptions(**crop), drive=drive or DriveOptions())
        talkinghead.reenact(picture, assigned, options=options, model=fake_models())

    with pytest.raises(OptionError, match="--face-only shows one face, 2"):
        reenact(face_only=True)
    with pytest.raises(OptionError, match="--box"):
        reenact(box="0,0,100,100")
    with pytest.raises(OptionError, match="--save-template saves one driver, there are 2"):
        reenact(drive=DriveOptions(save_template=str(tmp_path / "m.safetensors")))
    with pytest.raises(FaceIndexError, match=r"no face 2; 2 faces found, counted from 0"):
        reenact(assigned={0: tmp_path / "a.mp4", 2: tmp_path / "b.mp4"})


@pytest.mark.parametrize(
    ("faces", "driver", "assigned"),
    [
        ((), "d.mp4", {None: "d.mp4"}),
        (("1",), "d.mp4", {1: "d.mp4"}),
        (("0=a.mp4", "1=b=c.mp4"), None, {0: "a.mp4", 1: "b=c.mp4"}),
        (("2=a.mp4", "0"), "d.mp4", {2: "a.mp4", 0: "d.mp4"}),
    ],
)
def test_who_follows_whom(faces, driver, assigned):
    assert assign_drivers(faces, driver) == assigned


@pytest.mark.parametrize(
    ("faces", "driver", "said"),
    [
        ((), None, "driver is missing"),
        (("0",), None, "driver is missing"),
        (("0=a.mp4", "1="), None, "driver is missing"),
        (("one=a.mp4",), None, "counted from 0"),
        (("-1=a.mp4",), None, "counted from 0"),
        (("0=a.mp4", "0=b.mp4"), None, "once"),
        (("0=a.mp4",), Path("d.mp4"), "d.mp4: no face follows it"),
    ],
)
def test_faces_without_a_driver_or_with_two_are_refused(faces, driver, said):
    with pytest.raises(OptionError, match=said):
        assign_drivers(faces, driver)


def test_neighbours_divide_what_lies_between_them():
    left, right = (FaceRect(np.array([x, 100], np.float32), 60.0, 0.0) for x in (80, 160))
    frame = CropFrame.around(FaceRect(left.center, 160.0, 0.0), 256)
    mask = overlap_mask(frame, left, [right])
    column = {x: round(x * 256 / 160) for x in (80, 120, 150)}
    assert mask[128, column[80]] == feathered_mask(256)[128, column[80]] == 255
    assert mask[128, column[120]] == pytest.approx(128, abs=8) and mask[128, column[150]] == 0
    smaller = overlap_mask(frame, left, [FaceRect(right.center, 30.0, 0.0)])
    assert smaller[128, column[120]] == 255  # a small neighbour takes less


def test_a_preview_shows_source_driver_and_result(tmp_path, picture):
    driver = gray_video(tmp_path / "a.mp4", [80, 100, 120])
    options = Options(CropOptions(face_only=True), drive=DriveOptions(concat=True))
    made = talkinghead.reenact(picture, driver, tmp_path / "o.mp4", options=options, model=fake_models())
    height, widths = SIDE, [round(640 * SIDE / 480), round(64 * SIDE / 48), SIDE]
    assert (made.height, made.width, made.frames) == (height, sum(widths), 3)
    frames = list(talkinghead.reenact(picture, driver, options=options, model=fake_models()))
    assert [level(frame, 10, 20) for frame in frames] == [10, 10, 10]
    assert [level(frame, widths[0] + 10, 20) for frame in frames] == pytest.approx([80, 100, 120], abs=2)
    assert [level(frame, widths[0] + widths[1] + 10, 20) for frame in frames] == pytest.approx([80, 100, 120], abs=2)


def test_a_preview_of_a_source_video_that_is_longer_than_its_driver(tmp_path):
    source, driver = gray_video(tmp_path / "s.mp4", [40, 50, 60], size=(240, 320)), gray_video(tmp_path / "d.mp4", [80])
    options = Options(CropOptions(face_only=True, size=64), drive=DriveOptions(concat=True))
    frames = list(talkinghead.reenact(source, driver, options=options, model=fake_models()))
    assert [level(frame, 10, 20) for frame in frames] == pytest.approx([40, 50, 60], abs=2)
    assert [level(frame, 90, 20) for frame in frames] == pytest.approx([80, 80, 80], abs=2)
    with pytest.raises(OptionError, match="loop"):
        DriveOptions(concat=True, loop=True)
