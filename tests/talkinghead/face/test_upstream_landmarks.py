"""The user's networks of landmarks: where they look, what they find, and what is cropped and measured by it."""

import logging
import sys

import numpy as np
import pytest
import torch
from drawn_face import drawn_face
from official_tiny import picture, tiny_official

from liveportrait.regions import LANDMARKS_203
from liveportrait.weights import save_official
from talkinghead.errors import OptionError
from talkinghead.face import FaceDetector
from talkinghead.face.crop import CropRule, frame_face
from talkinghead.face.upstream_landmarks import (
    INSIGHTFACE_FILE,
    INSIGHTFACE_FOLDER,
    OWN_FILE,
    LandmarkNetworkError,
    PointNetwork,
    load_upstream_landmarks,
)
from talkinghead.models import load_models
from talkinghead.options import CropOptions, RenderOptions
from talkinghead.source.image import open_image_source

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def network(file, points, side=224):
    """Write a network that finds the same points in every picture: brightness is its first output."""
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["image"], ["brightness"], keepdims=0),
            helper.make_node("Constant", [], ["points"], value=onnx.numpy_helper.from_array(points.reshape(1, -1))),
        ],
        "landmarks",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, side, side])],
        [
            helper.make_tensor_value_info("brightness", TensorProto.FLOAT, []),
            helper.make_tensor_value_info("points", TensorProto.FLOAT, [1, points.size]),
        ],
    )
    opset = [helper.make_opsetid("", 13)]
    file.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), file)
    return file


def own_points():
    """All in the middle but the eyes and the lips, which are open by 0.25, 0.5 and 0.75 of their widths."""
    found = np.full((203, 2), 0.5, np.float32)
    parts = (LANDMARKS_203.left_eye, 0.25), (LANDMARKS_203.right_eye, 0.5), (LANDMARKS_203.lips, 0.75)
    for (upper, lower, left, right), ratio in parts:
        found[upper], found[lower] = (0.5, 0.5 - 0.1 * ratio), (0.5, 0.5 + 0.1 * ratio)
        found[left], found[right] = (0.4, 0.5), (0.6, 0.5)
    return found


def face_points(count, eyes, mouth):
    """A face of `count` points: a box from 0.2 to 0.8, upright eyes above a mouth."""
    rng = np.random.default_rng(0)
    found = rng.uniform(0.3, 0.7, (count, 2)).astype(np.float32)
    found[-2:] = (0.2, 0.2), (0.8, 0.8)
    for place, indices in zip(((0.35, 0.4), (0.65, 0.4)), eyes, strict=True):
        found[list(indices)] = place
    found[list(mouth)] = (0.5, 0.65)
    return found


OWN_FACE = face_points(203, ((0, 6, 12, 18), (24, 30, 36, 42)), (48, 66))
INSIGHTFACE_FACE = 2 * face_points(106, ((33, 35, 40, 39), (87, 89, 94, 93)), (52, 61)) - 1


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    save_official(tiny_official(), tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture(scope="module")
def photo():
    return drawn_face(240)


@pytest.fixture(scope="module")
def mesh(photo):
    return FaceDetector().detect(photo)[0].landmarks


def test_openness_is_measured_on_the_users_network(folder):
    crop = picture(frames=2)
    by_mesh = load_models(folder, "cpu").portrait.extract(crop)
    network(folder / OWN_FILE, own_points())
    motion = load_models(folder, "cpu").portrait.extract(crop)
    assert torch.allclose(motion.eye_ratio, torch.tensor([[0.25, 0.5]] * 2), atol=1e-3)
    assert torch.allclose(motion.lip_ratio, torch.tensor([[0.75]] * 2), atol=1e-3)
    assert torch.equal(motion.expression, by_mesh.expression) and not torch.equal(motion.lip_ratio, by_mesh.lip_ratio)
    plain = load_models(folder, "cpu", landmarks="mesh")
    assert plain.landmarks is None and torch.equal(plain.portrait.extract(crop).lip_ratio, by_mesh.lip_ratio)


def test_the_own_network_looks_around_the_mesh_and_then_around_its_points(folder, photo, mesh):
    network(folder / "liveportrait" / OWN_FILE, OWN_FACE)
    found = load_upstream_landmarks(folder, insightface=False).crop_points(photo, mesh, still=True)
    points, rule = mesh, CropRule(224, 1.5, -0.1)
    for _ in range(2):
        points = frame_face(points, rule).points_to_image(OWN_FACE * 224)
    assert found.shape == (203, 2) and np.allclose(found, points, atol=1e-3)


def test_pictures_are_cropped_around_what_is_asked_for(folder, photo, mesh, caplog):
    network(folder / OWN_FILE, OWN_FACE)
    network(folder / INSIGHTFACE_FOLDER / INSIGHTFACE_FILE, INSIGHTFACE_FACE, 192)
    frames = {}
    for landmarks in ("mesh", "auto", "insightface"):
        models = load_models(folder, "cpu", landmarks=landmarks)
        frames[landmarks] = open_image_source(photo, "face.png", models, CropOptions()).frame
        assert len(models.crop_points(photo, mesh)) == (478 if landmarks == "mesh" else 203)  # frames of videos
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "non-commercial research only" in caplog.text
    side = np.ptp(mesh[:, :2], axis=0).max() * 1.5
    corner = (mesh[:, :2].min(0) + mesh[:, :2].max(0)) / 2 - side / 2
    expected = frame_face(corner + (INSIGHTFACE_FACE + 1) / 2 * side)
    assert np.allclose(frames["insightface"].to_crop, expected.to_crop, atol=0.01)
    assert np.allclose(frames["mesh"].to_crop, frame_face(mesh).to_crop, atol=0.01)
    own = load_upstream_landmarks(folder, insightface=False).crop_points(photo, mesh, still=True)
    assert np.allclose(frames["auto"].to_crop, frame_face(own).to_crop, atol=0.01)


def test_missing_files_are_named(folder, monkeypatch):
    with pytest.raises(OptionError, match=r"is missing: put it there, or .*`talkinghead download landmarks`"):
        load_models(folder, "cpu", landmarks="insightface")
    file = network(folder / OWN_FILE, OWN_FACE)
    with pytest.raises(OptionError, match=r"2d106det.onnx is neither in .*model.insightface.* nor in .*home"):
        load_models(folder, "cpu", landmarks="insightface")
    with pytest.raises(OptionError, match="insightface is for base, model 'mini' needs none"):
        load_models("mini", "cpu", landmarks="insightface")
    with pytest.raises(OptionError, match="landmarks 'all' is none of auto, mesh, insightface"):
        RenderOptions(landmarks="all")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(LandmarkNetworkError, match=r"needs onnxruntime: pip install .talkinghead\[onnx\]"):
        PointNetwork(file, 224, 203, 1.0)


def test_files_that_are_no_such_network_are_named(tmp_path):
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(OptionError, match=r"text\.onnx: no network of 203 landmarks"):
        PointNetwork(tmp_path / "text.onnx", 224, 203, 1.0)
    with pytest.raises(OptionError, match="gives 20 numbers, not 203 landmarks"):
        PointNetwork(network(tmp_path / "few.onnx", own_points()[:10]), 224, 203, 1.0)
