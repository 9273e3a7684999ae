"""Export an official model to ONNX: F, M, W with G, S, R_eyes and R_lip, one file each.

    python scripts/export_onnx.py base onnx/            # or "animals", or a directory
    python scripts/export_onnx.py base onnx/ --opset 16

Opset 17 at most and no 5-D GridSample, so that ONNX Runtime, OpenVINO, CoreML and TensorRT can all run them. Every
file is run in ONNX Runtime afterwards and compared with torch. Needs the extra `onnx`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from liveportrait.official import OfficialPortrait

OPSET = 17


class WarpAndPaint(nn.Module):
    """W and G in one graph: a source's volume and keypoints to pictures."""

    def __init__(self, model: OfficialPortrait):
        super().__init__()
        self.warping, self.generator = model.warping, model.generator

    def forward(self, f_s: Tensor, x_s: Tensor, x_d: Tensor) -> Tensor:
        """Render T frames of one source; x_s has shape (1, K, 3)."""
        source = self.warping.prepare(f_s)
        return self.generator(self.warping(source, x_s.expand_as(x_d), x_d).feature)


@dataclass(frozen=True)
class Graph:
    """One file to export.

    Attributes:
        name: Of the file, without its ending.
        module: What is exported.
        inputs: Name, shape of one frame, and whether the first axis counts frames.
        outputs: Names; all count frames in their first axis.
    """

    name: str
    module: nn.Module
    inputs: tuple[tuple[str, tuple[int, ...], bool], ...]
    outputs: tuple[str, ...]

    def example(self, frames: int, seed: int = 0) -> tuple[Tensor, ...]:
        """Draw inputs for so many frames."""
        generator = torch.Generator().manual_seed(seed)
        return tuple(
            torch.rand(frames if counts else 1, *shape, generator=generator) * (1.0 if "image" in name else 0.5)
            for name, shape, counts in self.inputs
        )


def graphs(model: OfficialPortrait) -> list[Graph]:
    """List the graphs of a model."""
    points, volume = (model.num_keypoints, 3), model.config.appearance
    size = model.config.input_size
    side = size >> volume.num_down
    f_s = (volume.volume_channels, volume.volume_depth, side, side)
    image = (("image", (3, size, size), True),)
    heads = ("kp", "scale", "pitch", "yaw", "roll", "t", "exp")
    moved = (("x_s", points, True), ("x_d", points, True))
    ratios = (("x_s", points, True), ("source_ratio", (1,), True), ("target_ratio", (1,), True))
    eyes = (ratios[0], ("source_ratio", (2,), True), ratios[2])
    return [
        Graph("appearance_extractor", model.appearance_extractor, image, ("f_s",)),
        Graph("motion_extractor", model.motion_extractor, image, heads),
        Graph(
            "warping_generator",
            WarpAndPaint(model),
            (("f_s", f_s, False), ("x_s", points, False), ("x_d", points, True)),
            ("image",),
        ),
        Graph("stitching", model.stitching, moved, ("x_d_stitched",)),
        Graph("retarget_lip", model.retarget_lip, ratios, ("offset",)),
        Graph("retarget_eyes", model.retarget_eyes, eyes, ("offset",)),
    ]


def export(model: OfficialPortrait, directory: Path, opset: int = OPSET) -> list[Path]:
    """Write every graph of a model.

    Args:
        model: In fp32 on the CPU.
        directory: Where the files go.
        opset: ONNX operator set, 16 or 17.

    Returns:
        The files.
    """
    if not 16 <= opset <= OPSET:
        raise ValueError(f"opset must be 16 or 17, got {opset}")
    directory.mkdir(parents=True, exist_ok=True)
    sampler, model.warping.sampler = model.warping.sampler, "planar"
    try:
        return [_export(graph, directory / f"{graph.name}.onnx", opset) for graph in graphs(model)]
    finally:
        model.warping.sampler = sampler


def _export(graph: Graph, path: Path, opset: int) -> Path:
    names = [name for name, _, _ in graph.inputs]
    frames = {name: {0: "frames"} for name, _, counts in graph.inputs if counts}
    with warnings.catch_warnings(), torch.no_grad():
        # The tracer warns of sizes that become constants; only the number of frames varies, and it stays free.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph.module.eval(),
            graph.example(2),
            str(path),
            opset_version=opset,
            dynamo=False,
            input_names=names,
            output_names=list(graph.outputs),
            dynamic_axes=frames | {name: {0: "frames"} for name in graph.outputs},
        )
    return path


def check_graph(path: Path, opset: int = OPSET) -> None:
    """Make sure that a file is valid, uses no newer operators than asked for, and samples in two dimensions only.

    Raises:
        ValueError: It does not.
    """
    import onnx

    onnx.checker.check_model(str(path))
    model = onnx.shape_inference.infer_shapes(onnx.load(str(path)))
    found = {entry.domain: entry.version for entry in model.opset_import}
    if set(found) - {"", "ai.onnx"} or max(found.values()) > opset:
        raise ValueError(f"{path}: operator sets {found}, expected {opset} at most")
    # A sampling grid's last axis says in how many dimensions it samples.
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in model.graph.value_info}
    for node in model.graph.node:
        if node.op_type == "GridSample" and ranks.get(node.input[1], 4) != 4:
            raise ValueError(f"{path}: {node.name} samples a volume")


def difference(graph: Graph, path: Path, frames: int) -> float:
    """Run a file in ONNX Runtime and return the largest difference from torch."""
    import onnxruntime

    inputs = graph.example(frames, seed=frames)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feeds = {name: value.numpy() for (name, _, _), value in zip(graph.inputs, inputs, strict=True)}
    with torch.no_grad():
        expected = graph.module(*inputs)
    expected = [expected] if isinstance(expected, Tensor) else list(expected)
    answers = session.run(list(graph.outputs), feeds)
    return max(
        float((torch.from_numpy(answer) - value).abs().max()) for answer, value in zip(answers, expected, strict=True)
    )
