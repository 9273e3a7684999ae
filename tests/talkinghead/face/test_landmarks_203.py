"""The user's network of 203 landmarks: its points come back to the crop, and the model measures openness on them."""

import numpy as np
import pytest
import torch
from official_tiny import picture, tiny_official

from liveportrait.regions import LANDMARKS_203
from liveportrait.weights import save_official
from talkinghead.errors import OptionError
from talkinghead.face.crop import LANDMARK_CROP, frame_face
from talkinghead.face.landmarks_203 import COUNT, Landmarks203
from talkinghead.models import load_models

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def network(file, points):
    """Write a network that finds the same points in every picture: brightness is its first output."""
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["image"], ["brightness"], keepdims=0),
            helper.make_node("Constant", [], ["points"], value=onnx.numpy_helper.from_array(points.reshape(1, -1))),
        ],
        "landmarks",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 224, 224])],
        [
            helper.make_tensor_value_info("brightness", TensorProto.FLOAT, []),
            helper.make_tensor_value_info("points", TensorProto.FLOAT, [1, points.size]),
        ],
    )
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), file)
    return file


@pytest.fixture
def points():
    """All in the middle but the eyes and the lips, which are open by 0.25, 0.5 and 0.75 of their widths."""
    found = np.full((COUNT, 2), 0.5, np.float32)
    parts = (LANDMARKS_203.left_eye, 0.25), (LANDMARKS_203.right_eye, 0.5), (LANDMARKS_203.lips, 0.75)
    for (upper, lower, left, right), ratio in parts:
        found[upper], found[lower] = (0.5, 0.5 - 0.1 * ratio), (0.5, 0.5 + 0.1 * ratio)
        found[left], found[right] = (0.4, 0.5), (0.6, 0.5)
    return found


def test_points_are_in_the_crop(tmp_path, points):
    crop = picture(frames=2)
    found = Landmarks203(network(tmp_path / "landmark.onnx", points))(crop)
    assert found.shape == (2, COUNT, 2)
    mesh = ((crop.landmarks + 1) * 256 - 0.5)[0, :, :2].numpy()
    middle = frame_face(mesh, LANDMARK_CROP).points_to_image(np.full((1, 2), 112, np.float32))
    assert np.allclose(found[0, 1], middle[0], atol=0.01)


def test_a_folder_with_the_network_measures_by_it(tmp_path, points):
    folder = tmp_path / "model"
    save_official(tiny_official(), folder)
    crop = picture()
    by_mesh = load_models(folder, "cpu").portrait.extract(crop)
    network(folder / "landmark.onnx", points)
    motion = load_models(folder, "cpu").portrait.extract(crop)
    assert torch.allclose(motion.eye_ratio, torch.tensor([[0.25, 0.5]]), atol=1e-3)
    assert torch.allclose(motion.lip_ratio, torch.tensor([[0.75]]), atol=1e-3)
    assert torch.equal(motion.expression, by_mesh.expression) and not torch.equal(motion.lip_ratio, by_mesh.lip_ratio)


def test_files_that_are_no_such_network_are_named(tmp_path, points):
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(OptionError, match=r"text\.onnx: no network of 203 landmarks"):
        Landmarks203(tmp_path / "text.onnx")
    with pytest.raises(OptionError, match="gives 20 numbers, not 203 landmarks"):
        Landmarks203(network(tmp_path / "few.onnx", points[:10]))
