"""What was measured is kept, put together by head angle, and not measured twice."""

from pathlib import Path

import numpy as np
import pytest
import torch

from talkinghead.evaluation.judged import TURN, Judged, by_turn, fid, judge_all, mean_of, models_mark, read_judged
from talkinghead.evaluation.report import summarise, title_of
from talkinghead.face import FaceDetector
from talkinghead.models import Models


def judged(turns=(5.0, 15.0), psnr=(30.0, 20.0)):
    rows = [{TURN: turn, "psnr": value} for turn, value in zip(turns, psnr, strict=True)]
    pairs = [(np.array([turn], np.float32), np.array([turn + 3], np.float32)) for turn in turns]
    return Judged.of(rows, {"lag": 1.0}, pairs)


def test_figures_are_means_over_what_is_known():
    assert judged(psnr=(30.0, np.nan)).figures() == {"psnr": 30, "lag": 1}
    assert mean_of([judged(), Judged(clip={"lag": 3.0})]) == {"psnr": 25, "lag": 2}


def test_what_was_measured_is_read_again(tmp_path):
    judged().save(tmp_path / "new" / "a.npz", "mini 3")
    again = read_judged(tmp_path / "new" / "a.npz", "mini 3")
    assert again is not None and again.figures() == judged().figures()
    assert np.array_equal(again.shown, judged().shown) and list(again.frames) == [TURN, "psnr"]
    assert read_judged(tmp_path / "new" / "a.npz", "base 3") is None
    assert read_judged(tmp_path / "b.npz", "mini 3") is None


def test_clips_are_judged_once_and_not_after_the_time(tmp_path):
    seen = []

    def judge(clip):
        seen.append(clip.stem)
        return None if clip.stem == "silent" else judged()

    clips = [Path("a.mp4"), Path("silent.mp4")]
    assert list(judge_all(clips, judge, tmp_path, "x", 1)) == ["a"]
    assert list(judge_all(clips, judge, tmp_path, "x", 1)) == ["a"]
    assert seen == ["a", "silent", "silent"]
    assert list(judge_all([*clips, Path("b.mp4")], judge, tmp_path, "x", -1)) == ["a"]


def test_a_clip_is_judged_again_with_another_one(tmp_path):
    seen, clip = [], Path("a.mp4")

    def judge(_):
        seen.append(other)
        return judged()

    for other in ("b.mp4", "b.mp4", "c.mp4"):
        judge_all([clip], judge, tmp_path, "x", None, {clip: Path(other)})
    assert seen == ["b.mp4", "c.mp4"]


def test_models_are_told_apart_by_all_that_they_have_learned():
    portrait, voice = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    portrait.register_buffer("memory", torch.zeros(2), persistent=False)
    models = Models(portrait, voice, FaceDetector(), torch.device("cpu"))
    marks = [models_mark(models), models_mark(models)]
    for tensor in (portrait.weight, portrait.memory, voice.bias):
        tensor.data += 1
        marks.append(models_mark(models))
    assert len(set(marks)) == 4 and marks[0] == marks[1]


def test_frames_are_grouped_by_head_angle():
    table = dict(by_turn([judged(), judged((12.0, 40.0), (10.0, 0.0)), Judged(clip={"lag": 0.0})]))
    assert table["0 to 10°"] == {"frames": 1, "psnr": 30}
    assert table["10 to 20°"] == {"frames": 2, "psnr": 15}
    assert table["20 to 35°"] == {"frames": 0}


def test_fid_is_over_all_clips():
    assert fid([judged(), Judged(clip={"lag": 0.0})]) == {"fid": pytest.approx(9), "pictures": 2}
    assert fid([Judged()]) == {}


def test_summaries_leave_out_what_is_not_known():
    summary = summarise({"a": {"x": 1.0}, "b": {"x": 3.0, "y": np.nan}})
    assert summary["mean"]["x"] == 2 and np.isnan(summary["median"]["y"])
    assert title_of("copy psnr") == "copy psnr (dB ↑)" and title_of("frames") == "frames"
