"""The commands of the paper's table on drawn people: what moves, what is compared, and what cannot be."""

import json
from fractions import Fraction

import numpy as np
import pytest
from drawn_face import drawn_face
from official_tiny import tiny_official
from PIL import Image
from scripted import Colours, script
from typer.testing import CliRunner

from liveportrait.weights import save_official
from talkinghead.errors import VideoError
from talkinghead.evaluation import retargeting, sanity, table_commands
from talkinghead.evaluation.commands import app
from talkinghead.evaluation.cross import cross_clip, cross_pairs
from talkinghead.evaluation.judged import Judged, fid, mean_of
from talkinghead.evaluation.networks import Networks, load_networks
from talkinghead.evaluation.reenact import reenact_clip
from talkinghead.evaluation.retargeting import compare_openness, retarget_clip
from talkinghead.evaluation.sanity import judge_changes, judge_speech_changes
from talkinghead.evaluation.stitching import border_of, changed, shoulders_of, stitch_clip
from talkinghead.evaluation.theval import natural_score
from talkinghead.face import FaceTracker
from talkinghead.media.video import VideoWriter
from talkinghead.models import load_models

COUNT = 12
MOUTHS = 0.5 - 0.5 * np.cos(np.arange(COUNT))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two drawn people who open and shut their mouths; the second one has other colours and a wider face."""
    folder, files = tmp_path_factory.mktemp("clips"), []
    for name, colours in (("a", slice(None)), ("b", slice(None, None, -1))):
        files.append(folder / f"{name}.mp4")
        with VideoWriter(files[-1], Fraction(25), (256, 256), None, crf=1) as writer:
            for mouth in MOUTHS:
                writer.write(np.ascontiguousarray(drawn_face(256, mouth)[..., colours]))
    return files


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """A network for FID alone: drawn people of one shape are one person to a network that recognises faces."""
    return Networks(fid=load_networks(fid=script(tmp_path_factory.mktemp("network") / "colours.pt", Colours())).fid)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    save_official(tiny_official(), folder / "model")
    return load_models(folder / "model", "cpu")


@pytest.fixture(scope="module")
def mini():
    return load_models("mini", "cpu")


def test_each_figure_moves_when_it_should(clips, networks):
    judged = judge_changes(*clips, networks, every=3, most=3)
    rows = {change: mean_of([each]) | fid([each]) for change, each in judged.items()}
    same, blurred, shifted, first, other = rows.values()
    assert same["l1"] == same["aed"] == same["apd deg"] == same["gaze deg"] == same["lips"] == 0
    assert same["fid"] == pytest.approx(0, abs=1e-9) and same["ssim"] == pytest.approx(1)
    assert blurred["psnr"] < 40 and blurred["landmarks"] < shifted["landmarks"]
    assert shifted["aed"] < first["aed"] and shifted["ssim"] < blurred["ssim"]
    assert first["lips"] > shifted["lips"] / 10 and first["aed"] > 0.003
    assert other["fid"] > 10 * max(blurred["fid"], shifted["fid"], first["fid"])


def test_speech_figures_move_when_they_should(clips, monkeypatch):
    samples = np.repeat(MOUTHS, 640) * np.sin(np.arange(640 * COUNT))
    samples = np.pad(samples, (0, 16_000)).astype(np.float32)
    monkeypatch.setattr(sanity, "sound_of", lambda _: samples)
    judged = {change: each.figures() for change, each in judge_speech_changes(*clips, Networks()).items()}
    same, blurred, _, first, _, late = judged.values()
    assert same["correlation"] == pytest.approx(1) and same["lag"] == 0 and natural_score(same) == pytest.approx(1)
    assert late["correlation"] < 0.9 and first["lip motion"] < same["lip motion"] / 5
    assert blurred["face detail"] < same["face detail"] / 2 and blurred["correlation"] > 0.9
    monkeypatch.undo()
    assert judge_speech_changes(*clips, Networks()) == {}  # they have no sound


def test_figures_of_pictures_and_of_speech_are_written(clips, tmp_path, monkeypatch):
    figures = {"judge_changes": {"l1": 0.5}, "judge_speech_changes": {"lag": 4.0}}
    for name, row in figures.items():
        monkeypatch.setattr(table_commands, name, lambda *_, row=row: {"late": Judged(clip=row)})
    told = CliRunner().invoke(app, ["sanity", str(clips[0].parent), "--json", str(tmp_path / "figures.json")])
    written = json.loads((tmp_path / "figures.json").read_text())
    assert told.exit_code == 0 and written["clips"]["late"] == {"l1": 0.5}
    assert written["speech"]["late"]["lag"] == 4 and "natural" in written["speech"]["late"]


def test_the_same_figures_for_every_model(clips, networks, mini, tiny):
    mini, base = (reenact_clip(clips[0], models, networks, every=5, most=2) for models in (mini, tiny))
    wanted = {"l1", "psnr", "ssim", "mouth l1", "mouth psnr", "mouth ssim", "aed", "apd deg", "gaze deg", "turn deg"}
    for judged in (mini, base):
        assert wanted <= judged.frames.keys() and len(judged.frames["l1"]) == 2 and judged.shown.shape == (2, 3)
    assert mini.figures()["faces"] == 1 and mini.figures()["psnr"] > 25 > base.figures()["psnr"]
    assert base.figures()["faces"] == 0 and np.isnan(base.figures()["aed"])  # noise shows no face
    assert "points psnr" in mini.frames and "points psnr" not in base.frames


def test_people_follow_each_other(clips, networks, mini):
    pairs, clip = cross_pairs(clips, None), clips[0]
    assert list(pairs.items()) == [(clips[0], clips[1]), (clips[1], clips[0])]
    judged = cross_clip(pairs[clip], clip, mini, networks, seconds=0.2, every=2, relative=True)
    assert list(judged.frames)[:3] == ["aed", "apd deg", "gaze deg"] and len(judged.shown) == 3
    assert judged.figures()["faces"] == 1 and judged.figures()["apd deg"] < 5
    assert fid([judged])["fid"] > 0.001  # of other colours than the driver


def test_sources_are_somebody_else(clips, tmp_path):
    with pytest.raises(VideoError, match="only one clip"):
        cross_pairs(clips[:1], None)
    with pytest.raises(VideoError, match="no pictures here"):
        cross_pairs(clips, tmp_path)
    Image.new("RGB", (8, 6)).save(tmp_path / "one.png")
    assert cross_pairs(clips, tmp_path) == dict.fromkeys(clips, tmp_path / "one.png")


def test_eyes_and_lips_open_as_far_as_asked(clips, mini, monkeypatch):
    monkeypatch.setattr(retargeting, "ASKED", (0.1, 0.4))
    figures = retarget_clip(clips[0], mini).figures()
    assert figures["lips at 0.4"] > figures["lips at 0.1"] + 0.1
    assert figures["lips slope"] > 0.4 and figures["lips error"] < 0.15
    assert figures["lips error"] < figures["lips unmoved error"] and figures["lips moved eyes"] < 0.1


def test_openness_is_compared():
    assert compare_openness((0.0, 0.2, 0.4), [0.1, 0.2, 0.3]) == pytest.approx({"error": 0.2 / 3, "slope": 0.5})
    assert np.isnan(compare_openness((0.0, 0.2), [0.1, float("nan")])["slope"])


def test_borders_and_shoulders_are_areas_of_the_crop():
    assert border_of(100).sum() == 100 * 100 - 88 * 88
    picture = drawn_face(256)
    points = FaceTracker().track(picture)
    shoulders = shoulders_of(picture, points)
    assert shoulders[240].any() and not shoulders[: int(points[152, 1])].any()
    assert changed(picture, picture // 2 * 2, shoulders) <= 1
    assert np.isnan(changed(picture, picture, np.zeros((256, 256), bool)))


def test_stitching_is_judged_with_and_without(clips, mini, tiny):
    mini = stitch_clip(*clips, mini, every=3, most=2).figures()
    assert mini["border"] < 1 and mini["rest border"] < 1 and "free border" not in mini
    base = stitch_clip(*clips, tiny, every=3, most=2).figures()
    assert base["free border"] >= 0 and base["rest shoulders"] > 1
