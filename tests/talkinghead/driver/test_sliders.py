"""Keyframes: what the file may say, and how sliders move between them."""

from dataclasses import fields
from fractions import Fraction

import numpy as np
import pytest
import torch
from fake_models import fake_models

from liveportrait import LivePortrait, Motion
from liveportrait.errors import LandmarksNeededError
from liveportrait.mini.edit import edit
from liveportrait.mini.regions import KEYPOINTS, LEFT_BROW, LEFT_IRIS, rows
from talkinghead import CropOptions, Options, RenderOptions, api
from talkinghead.driver.keyframes import read_keyframes
from talkinghead.driver.sliders import NAMES, constant_sliders, interpolate_keyframes
from talkinghead.errors import InputNotFoundError, OptionError, OutputError
from talkinghead.media.video import read_frames
from talkinghead.options import EditOptions


def written(file, text):
    file.write_text(text)
    return file


def track(tmp_path, text, name, fps=10, **start):
    keyframes = read_keyframes(written(tmp_path / "keyframes.yaml", text))
    own = Motion.still(1, 1)
    own = Motion(own.rotation, own.expression, own.scale, own.translation, torch.tensor([[0.3, 0.5]]), None)
    sliders = interpolate_keyframes(keyframes, EditOptions(**start), own, Fraction(fps))
    return sliders.values[:, NAMES.index(name)].numpy()


def test_a_slider_moves_smoothly_and_no_further_than_asked(tmp_path):
    smile = track(tmp_path, "0: {}\n1: {smile: 0.6}\n2: {smile: 0}", "smile")
    assert len(smile) == 21
    assert smile[[0, 10, 20]] == pytest.approx([0, 0.6, 0], abs=1e-6)
    assert smile.max() <= 0.6 + 1e-6 and smile.min() >= -1e-6
    assert (np.diff(smile[:11]) >= 0).all() and (np.diff(smile[10:]) <= 0).all()
    steps = np.abs(np.diff(smile))
    assert steps[0] < 0.5 * steps[4] and steps[9] < 0.5 * steps[5]  # slow at the ends, quick between


def test_a_slider_begins_as_the_options_have_it_and_stays_at_its_last_keyframe(tmp_path):
    yaw = track(tmp_path, "1: {yaw: 10}\n2: {smile: 1}", "yaw", yaw=-5.0)
    assert yaw[[0, 10, 20]] == pytest.approx([-5, 10, 10])
    assert track(tmp_path, "1: {yaw: 10}", "smile", smile=0.3) == pytest.approx(np.full(11, 0.3))


def test_openness_begins_with_the_faces_own(tmp_path):
    eyes = track(tmp_path, "0.5: {eyes-open: 0.1}\n1: {eyes_open: null}", "eyes_open")
    assert eyes[[0, 5, 10]] == pytest.approx([0.4, 0.1, 0.4], abs=1e-6)
    assert np.isnan(track(tmp_path, "1: {yaw: 10}", "eyes_open")).all()


@pytest.mark.parametrize("text", ["1: {eyes_open: 0.1}", "1: {eyes_open: null}"])
def test_openness_needs_a_face_that_shows_it(tmp_path, text):
    keyframes = read_keyframes(written(tmp_path / "keyframes.yaml", text))
    with pytest.raises(LandmarksNeededError, match="eyes_open is set, but was not measured"):
        interpolate_keyframes(keyframes, EditOptions(), Motion.still(1, 1), Fraction(10))


def test_one_edit_is_one_frame():
    (sliders,) = constant_sliders(EditOptions(smile=0.6, pitch=3, eyes_open=0.1)).sliders()
    assert (sliders.smile, sliders.pitch_deg, sliders.lip_ratio) == pytest.approx((0.78, -3.0, None))
    assert sliders.eye_ratio == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1: {smile: 2}", r"keyframes\.yaml, line 1: 1: smile is 2, it must be between -1 and 1"),
        ("0: {smile: 1}\n1: {laugh: 1}", "line 2: 1: no slider is called 'laugh'; there are smile, "),
        ("1: {smile: much}", "smile 'much' is not a number"),
        ("1: {smile: yes}", "smile 'yes' is not a number"),
        ("1: {smile: null}", "smile None is not a number"),
        ("1: {smile: .nan}", "smile '.nan' is not a number"),
        ("1: {smile: [1]}", r"smile \['1'\] is not a number"),
        ("1: {eyes-open: 0, eyes_open: 0}", "eyes_open is given twice"),
        ("1: smile", "1: must be a mapping of names to values, not text"),
        ("soon: {smile: 1}", "time 'soon' is not a number"),
        ("-1: {smile: 1}", "time is -1, it must be between 0 and 86400"),
        ("1e12: {smile: 1}", "time is 1e12, it must be between 0 and 86400"),
        ('"1e999999999": {smile: 1}', "time '1e999999999' is not a number"),
        ("²: {smile: 1}", "time '²' is not a number"),
        ("1/0: {smile: 1}", "time '1/0' is not a number"),
        ("2001-99-99: {smile: 1}", "time '2001-99-99' is not a number"),
        ("0: {smile: 0}\n1e-300: {smile: 1}", "two keyframes at 1e-300 s"),
        ("1: {smile: 0}\n1.0: {smile: 1}", "two keyframes at 1 s"),
        ("0.5: {smile: 1}\n0.50000000000000001: {smile: 0}", "two keyframes at 0.5 s"),
        ("0: {smile: 1}", "nothing moves"),
        ("# nothing", "no keyframes"),
        ("- 1", "must be a mapping of names to values, not a list"),
        ("1: {smile", "no YAML can be read"),
        ("1: {keyframes: x.yaml}", "no slider is called 'keyframes'"),
    ],
)
def test_what_is_no_keyframe(tmp_path, text, said):
    with pytest.raises(OptionError, match=said):
        read_keyframes(written(tmp_path / "keyframes.yaml", text))


def test_a_video_is_made(tmp_path):
    picture = np.random.default_rng(1).integers(0, 255, (480, 640, 3), np.uint8)
    file = written(tmp_path / "m.yaml", "0.5: {smile: 0.5}\n1: {smile: 0}")
    options = Options(
        CropOptions(face_only=True), edit=EditOptions(keyframes=str(file)), render=RenderOptions(fps="30", crf=1)
    )
    made = api.edit(picture, tmp_path / "o.mp4", options=options, model=fake_models())
    assert (made.frames, made.fps) == (31, 30)
    shown = [float(frame.picture[32, 32].mean()) for frame in read_frames(made.file)]
    assert (shown[0], shown[15], shown[30]) == pytest.approx((0, 0.65 * 255, 0), abs=2)
    with pytest.raises(OutputError, match="videos are written as mp4"):
        api.edit(picture, tmp_path / "o.png", options=options, model=fake_models())
    with pytest.raises(InputNotFoundError, match=r"n\.yaml: no such file"):
        missing = Options(edit=EditOptions(keyframes=str(tmp_path / "n.yaml")))
        api.edit(picture, tmp_path / "p.mp4", options=missing, model=fake_models())


NOSE_TIP = (1,)


@pytest.mark.parametrize(
    ("slider", "value", "axis", "sign"),
    [
        ("yaw", 10, 0, 1),
        ("move_x", 0.5, 0, 1),
        ("pitch", 10, 1, -1),
        ("move_y", 0.5, 1, -1),
        ("gaze_x", 10, 0, 1),
        ("gaze_y", 10, 1, -1),
        ("eyebrow", 0.5, 1, -1),
        ("roll", 10, 0, 1),
    ],
)
def test_right_and_up_are_positive(slider, value, axis, sign):
    face = LivePortrait.from_pretrained("mini").renderer.face
    rest = Motion.still(1, len(KEYPOINTS))
    part = {"gaze_x": LEFT_IRIS, "gaze_y": LEFT_IRIS, "eyebrow": LEFT_BROW, "roll": LEFT_BROW}.get(slider, NOSE_TIP)
    (asked,) = constant_sliders(EditOptions(**{slider: value})).sliders()
    (opposite,) = constant_sliders(EditOptions(**{slider: -value})).sliders()
    there, back = (edit(face, rest, each)[0, rows(part), axis].mean() for each in (asked, opposite))
    assert (there - back) * sign > 0.01


def test_the_ends_of_the_range_are_upstreams():
    ends = EditOptions(smile=-1, eyebrow=1, wink=1, gaze_y=31.5, pitch=-15, move_x=1, purse=-1, mouth=1, zoom=1.1)
    (sliders,) = constant_sliders(ends).sliders()
    named = (sliders.smile, sliders.eyebrow, sliders.wink, sliders.gaze_y, sliders.pitch_deg)
    assert named == pytest.approx((-0.3, 30, 39, 63, 15))
    assert (sliders.move_x, sliders.purse, sliders.mouth, sliders.zoom) == pytest.approx((-0.19, -20, 120, 1.1))
    for option in fields(EditOptions):
        if option.name in NAMES and option.name not in {"zoom", "eyes_open", "lips_open"}:
            assert -option.metadata["high"] <= option.metadata["low"] <= 0
