"""Parts of a video are rendered while those before them are watched."""

import threading
from itertools import islice

import numpy as np
import pytest
import torch
from fake_models import SIDE, GrayPortrait, performance

from liveportrait import Crop
from talkinghead.render import render, render_ahead
from talkinghead.source import Scene


@pytest.fixture
def model():
    return GrayPortrait()


@pytest.fixture
def scene(model):
    def place(crop, ground):
        return crop if ground is None else np.maximum(crop, ground)

    return Scene(model.encode(Crop(torch.zeros(1, 3, SIDE, SIDE))), place)


def parts(scene, count, log=None):
    for n in range(count):
        if log is not None:
            log.append(n)
        yield performance(2, start=10 * n), scene


def test_what_is_rendered_ahead_is_what_is_rendered_part_by_part(model, scene):
    ahead = list(render_ahead(model, parts(scene, 4), model.perform))
    alone = [shown for part, where in parts(scene, 4) for shown in render(model, where, part, model.perform)]
    assert len(ahead) == 8
    assert all((a == b).all() for a, b in zip(ahead, alone, strict=True))


def test_grounds_lie_under_the_pictures_they_belong_to(model, scene):
    grounds = (np.full((SIDE, SIDE, 3), 200 + n, np.uint8) for n in range(8))
    shown = list(render_ahead(model, parts(scene, 4), model.perform, grounds))
    assert [int(picture.max()) for picture in shown] == list(range(200, 208))


def test_no_more_than_one_part_is_made_ahead(model, scene):
    asked = []
    pictures = render_ahead(model, parts(scene, 10, asked), model.perform)
    list(islice(pictures, 3))
    assert asked == [0, 1, 2]


def test_one_thread_renders_all_videos(model, scene):
    for _ in range(3):
        list(render_ahead(model, parts(scene, 2), model.perform))
    assert len([thread for thread in threading.enumerate() if thread.name.startswith("renderer")]) == 1


def test_what_goes_wrong_while_rendering_reaches_who_watches(model, scene):
    def fail(portrait, part):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        list(render_ahead(model, parts(scene, 2), fail))


def test_frames_without_a_portrait_pass(model):
    plain = Scene(None, lambda crop, ground: np.full((4, 4, 3), 7, np.uint8))
    shown = list(render_ahead(model, parts(plain, 2), model.perform))
    assert len(shown) == 4 and {int(picture.max()) for picture in shown} == {7}
