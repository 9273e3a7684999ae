"""The exported graphs in ONNX Runtime against torch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from official_tiny import tiny_official

from liveportrait import onnx_export

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


LIMITS = {"warping_generator": 1e-4}
NAMES = [
    "appearance_extractor",
    "motion_extractor",
    "warping_generator",
    "stitching",
    "retarget_lip",
    "retarget_eyes",
]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory):
    model, folder = tiny_official(), tmp_path_factory.mktemp("onnx")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    paths = onnx_export.export(model, folder)
    assert model.warping.sampler is None
    assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    return {graph.name: (graph, path) for graph, path in zip(onnx_export.graphs(model), paths, strict=True)}


@pytest.mark.parametrize("name", NAMES)
def test_graphs_give_what_torch_gives_for_another_number_of_frames(exported, name: str):
    graph, path = exported[name]
    assert onnx_export.difference(graph, path, frames=1) < LIMITS.get(name, 1e-5)
    if name != "warping_generator":
        assert onnx_export.difference(graph, path, frames=3) < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_graphs_are_valid_old_enough_and_flat(exported, name: str):
    import onnx

    _, path = exported[name]
    onnx_export.check_graph(path)
    kinds = [node.op_type for node in onnx.load(str(path)).graph.node]
    assert kinds.count("GridSample") == (2 if name == "warping_generator" else 0)
    assert "Einsum" not in kinds


def test_sampling_a_volume_is_noticed(tmp_path: Path):
    from onnx import TensorProto, checker, helper, save

    volume = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 2, 2, 2])
    grid = helper.make_tensor_value_info("g", TensorProto.FLOAT, [1, 2, 2, 2, 3])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 2, 2, 2])
    nodes = [helper.make_node("Abs", ["g"], ["h"]), helper.make_node("GridSample", ["x", "h"], ["y"], mode="linear")]
    graph = helper.make_graph(nodes, "g", [volume, grid], [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 10
    checker.check_model(model)
    save(model, str(tmp_path / "deep.onnx"))
    with pytest.raises(ValueError, match="samples a volume"):
        onnx_export.check_graph(tmp_path / "deep.onnx", opset=20)
    with pytest.raises(ValueError, match="17 at most"):
        onnx_export.check_graph(tmp_path / "deep.onnx")


def test_newer_operator_sets_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="16 or 17"):
        onnx_export.export(tiny_official(), tmp_path, opset=20)


@pytest.mark.slow
def test_full_size(tmp_path: Path):
    from official_reference import official_model

    model = official_model()
    paths = onnx_export.export(model, tmp_path)
    for graph, path in zip(onnx_export.graphs(model), paths, strict=True):
        onnx_export.check_graph(path)
        limit = {"warping_generator": 5e-3, "appearance_extractor": 1e-4}.get(graph.name, 2e-5)
        assert onnx_export.difference(graph, path, 1) < limit, graph.name
        path.unlink()
