"""Parts of a video are rendered while the caller uses those before them."""

import threading
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fake_models import SIDE, GrayPortrait, speech_motion

from liveportrait import Crop
from liveportrait.errors import PortraitError
from talkinghead.render import render, render_ahead, rendered_at_once
from talkinghead.source.image import SourceFrame


@pytest.fixture
def model():
    return GrayPortrait()


@pytest.fixture
def frame(model):
    def place(crop, background):
        return crop if background is None else np.maximum(crop, background)

    return SourceFrame(model.encode(Crop(torch.zeros(1, 3, SIDE, SIDE))), place)


def parts(frame, count, log=None):
    for n in range(count):
        if log is not None:
            log.append(n)
        yield speech_motion(2, start=10 * n), frame


def test_what_is_rendered_ahead_is_what_is_rendered_part_by_part(model, frame):
    ahead = list(render_ahead(model, parts(frame, 4), model.speech_keypoints))
    alone = [shown for part, where in parts(frame, 4) for shown in render(model, where, part, model.speech_keypoints)]
    assert len(ahead) == 8
    assert all((a == b).all() for a, b in zip(ahead, alone, strict=True))


def test_each_background_is_used_for_its_own_frame(model, frame):
    backgrounds = (np.full((SIDE, SIDE, 3), 200 + n, np.uint8) for n in range(8))
    shown = list(render_ahead(model, parts(frame, 4), model.speech_keypoints, backgrounds))
    assert [int(picture.max()) for picture in shown] == list(range(200, 208))


def test_no_more_than_one_part_is_made_ahead(model, frame):
    asked = []
    pictures = render_ahead(model, parts(frame, 10, asked), model.speech_keypoints)
    list(islice(pictures, 3))
    assert asked == [0, 1, 2]


def test_one_thread_renders_all_videos(model, frame):
    for _ in range(3):
        list(render_ahead(model, parts(frame, 2), model.speech_keypoints))
    assert len([thread for thread in threading.enumerate() if thread.name.startswith("batch renderer")]) == 1


def test_a_batch_is_for_each_thread_that_renders_alone(monkeypatch):
    monkeypatch.setattr("talkinghead.render._single_threads", lambda: (None, 3))
    assert rendered_at_once(SimpleNamespace(single_threaded=False), 8) == 8
    assert rendered_at_once(SimpleNamespace(single_threaded=True), 8) == 24


def test_errors_while_rendering_reach_the_caller(model, frame):
    def fail(portrait, part):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        list(render_ahead(model, parts(frame, 2), fail))


def test_frames_without_a_portrait_pass(model):
    plain = SourceFrame(None, lambda crop, background: np.full((4, 4, 3), 7, np.uint8))
    shown = list(render_ahead(model, parts(plain, 2), model.speech_keypoints))
    assert len(shown) == 4 and {int(picture.max()) for picture in shown} == {7}


class CrowdedGpu(GrayPortrait):
    """Has memory for batches of `room` frames."""

    def __init__(self, room):
        super().__init__()
        self.room, self.rendered = room, []

    def render(self, portrait, x_d, dense_residual=None):
        if len(x_d) > self.room:
            raise torch.OutOfMemoryError
        self.rendered.append(len(x_d))
        return super().render(portrait, x_d, dense_residual)


def test_batches_that_do_not_fit_the_gpu_are_halved_for_good(frame):
    crowded, whole = CrowdedGpu(room=3), GrayPortrait()
    portrait = frame.portrait
    for start in (0, 8):
        x_d = whole.speech_keypoints(portrait, speech_motion(8, start=start))
        shown = crowded.picture_renderer(portrait)(x_d, None)
        assert np.array_equal(shown, whole.picture_renderer(portrait)(x_d, None))
    assert crowded.rendered == [2] * 8


def test_a_gpu_without_room_for_one_frame(frame):
    with pytest.raises(PortraitError, match="memory on the GPU"):
        CrowdedGpu(room=0).picture_renderer(frame.portrait)(torch.zeros(4, 1, 3), None)
