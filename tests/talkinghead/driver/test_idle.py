"""Idle portraits: how long they idle, that loops have no jump, and what is refused."""

import numpy as np
import pytest
import torch
from drawn_face import drawn_face
from gray_videos import gray_video

import talkinghead
from audio2motion import FRAME_RATE
from liveportrait.keypoints import euler_degrees
from talkinghead import CropOptions, IdleOptions, MotionOptions, OptionError, Options, load_models
from talkinghead.driver.idle import FADE_SECONDS, idle_motion
from talkinghead.driver.resample import join


@pytest.fixture(scope="module")
def models():
    return load_models("mini", "cpu")


def motion(models, **asked):
    parts, _ = idle_motion(models, MotionOptions(seed=3), IdleOptions(**asked))
    return join(list(parts))


def test_lips_stay_shut_while_head_and_eyes_move(models):
    made = motion(models, seconds=8)
    assert len(made) == 8 * FRAME_RATE
    assert not made.lip_ratio.any() and not made.expression[:, : models.voice.num_mouth].any()
    assert made.eye_openness.min() < 0.3 and made.gaze_deg.std() > 0.1
    assert torch.stack(euler_degrees(made.rotation)).std(1).max() > 0.2


def test_the_end_of_a_loop_meets_its_beginning(models):
    made = motion(models, seconds=4, loop=True)
    assert len(made) == 4 * FRAME_RATE
    for values in (torch.stack(euler_degrees(made.rotation), 1), made.translation, made.expression):
        steps = values.diff(dim=0).abs().amax(1)
        assert (values[0] - values[-1]).abs().max() <= 1.5 * steps.max()
    plain = motion(models, seconds=4 + FADE_SECONDS)
    fade = round(FADE_SECONDS * FRAME_RATE)
    torch.testing.assert_close(made.rotation[:-fade], plain.rotation[fade : len(made)][: len(made) - fade])


def test_the_video_is_silent_and_as_long_as_asked(models, tmp_path):
    options = Options(crop=CropOptions(face_only=True, size=64), idle=IdleOptions(seconds=1, loop=True))
    video = talkinghead.idle(drawn_face(), options=options, model=models)
    assert len(video) == 25 and video.sound is None
    pictures = list(video)
    assert len(pictures) == 25 and np.abs(pictures[0].astype(int) - pictures[12]).max() > 0
    summary = talkinghead.idle(drawn_face(), tmp_path / "idle.mp4", options=options, model=models)
    assert summary.frames == 25 and summary.file.stat().st_size > 0


@pytest.mark.parametrize("speech", [{"reference": "clip.mp4"}, {"lips_only": True}, {"lip_strength": 0.5}])
def test_what_only_speech_can_do_is_refused(models, speech):
    with pytest.raises(OptionError, match="leave it out"):
        talkinghead.idle(drawn_face(), options=Options(motion=MotionOptions(**speech)), model=models)


def test_a_video_is_refused(models, tmp_path):
    source = gray_video(tmp_path / "film.mp4", [90] * 5)
    with pytest.raises(OptionError, match=r"film\.mp4: is a video, a picture idles: give a picture"):
        talkinghead.idle(source, options=Options(), model=models)
