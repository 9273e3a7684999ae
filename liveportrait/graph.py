"""Run the embedded networks as OpenVINO graphs, which are faster than PyTorch on a CPU."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from liveportrait.errors import WeightsError
from liveportrait.hub import sha256
from liveportrait.imports import quiet_imports

_WITH_BFLOAT16 = ("DEFAULT", "ALL", "BF16", "FP16", "AMX", "AVX10")
"""Parts of the names of instruction sets in ONEDNN_MAX_CPU_ISA that include products of bfloat16."""
_HINTS = {torch.float32: "f32", torch.bfloat16: "bf16"}


@cache
def _core() -> Any:
    with quiet_imports():
        import openvino

    # Its binding sets itself up when it first shows a tensor as an array, and two threads that do so at once block each
    # other for ever. Models are loaded by one thread at a time.
    _ = openvino.Tensor(openvino.Type.f32, [1]).data
    return openvino.Core()


def fastest_precision() -> torch.dtype:
    """Return bfloat16 if this CPU supports it natively, else float32.

    OpenVINO reports what the CPU supports even where ONEDNN_MAX_CPU_ISA forbids to use it, and then computes nothing.
    """
    allowed = os.environ.get("ONEDNN_MAX_CPU_ISA", "DEFAULT").upper()
    if not any(name in allowed for name in _WITH_BFLOAT16):
        return torch.float32
    return torch.bfloat16 if "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") else torch.float32


def write_graph(network: nn.Module, examples: Sequence[Tensor], file: Path, free: Collection[int] = (0,)) -> None:
    """Write a network to `file` (.xml) and its float16 weights to the .bin file beside it.

    Args:
        network: Maps tensors to one or several tensors.
        examples: Inputs for tracing.
        file: Path of the .xml file.
        free: Axes of all inputs whose sizes may differ from those of the examples: 0 is that of a batch.
    """
    with quiet_imports():
        import openvino

    sizes = [[-1 if axis in free else size for axis, size in enumerate(example.shape)] for example in examples]
    shapes = [openvino.PartialShape(size) for size in sizes]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, but OpenVINO needs it
        traced = torch.jit.trace(network.eval(), tuple(examples), check_trace=False)
        graph = openvino.convert_model(traced, example_input=tuple(examples), input=shapes)
    openvino.save_model(graph, file, compress_to_fp16=True)


def graph_hashes(directory: Path, names: Sequence[str]) -> dict[str, str]:
    """Return the SHA-256 of each file of some graphs by name."""
    return {file: sha256(directory / file) for name in names for file in _files(name)}


def read_graph(directory: Path, name: str, hashes: Mapping[str, str]) -> Graph | None:
    """Return a graph, or None if no hash of it is known.

    Args:
        directory: Where it is.
        name: Name of its files without suffix.
        hashes: From `graph_hashes`.

    Raises:
        WeightsError: A file does not match its hash; OpenVINO may crash on invalid files.
    """
    if f"{name}.xml" not in hashes:
        return None
    for file in _files(name):
        _check(directory / file, hashes.get(file))
    return Graph(directory / f"{name}.xml")


def _files(name: str) -> tuple[str, str]:
    return f"{name}.xml", f"{name}.bin"


def _check(file: Path, expected: str | None) -> None:
    try:
        found = sha256(file)
    except OSError as error:
        raise WeightsError(f"{file}: cannot be read ({error.strerror}); fetch it again") from error
    if found != expected:
        raise WeightsError(f"{file}: is not the graph that config.json names by its SHA-256; fetch it again")


class Graph:
    """The graph of a network, compiled at its first use for each number of threads that PyTorch uses, and then kept."""

    def __init__(self, file: Path) -> None:
        """Set the path of a file written by `write_graph`, and load OpenVINO, which one thread has to do alone."""
        _core()
        self._file = file
        self._own, self._lock = threading.local(), threading.Lock()
        self._compiled: dict[tuple[torch.dtype, int], Any] = {}

    def suits(self, inputs: tuple[Tensor, ...], precision: torch.dtype) -> bool:
        """Return whether the graph can replace the network: on a CPU, without gradients, in float32 or bfloat16."""
        return (
            precision in _HINTS and all(value.device.type == "cpu" for value in inputs) and not torch.is_grad_enabled()
        )

    def run(self, inputs: tuple[Tensor, ...], precision: torch.dtype) -> Any:
        """Return the network's output: a float32 tensor or a tuple of them."""
        found = self._request(precision).infer(
            [value.float().contiguous().numpy() for value in inputs], share_inputs=True
        )
        results = [torch.from_numpy(value) for value in found.values()]
        return tuple(results) if len(results) > 1 else results[0]

    def compile(self, precision: torch.dtype) -> Any:
        """Compile for as many threads as PyTorch uses in this thread; the result is kept.

        Raises:
            WeightsError: OpenVINO cannot run it.
        """
        kind = precision, torch.get_num_threads()
        with self._lock:
            if kind not in self._compiled:
                self._compiled[kind] = self._compile(_HINTS[precision], kind[1])
            return self._compiled[kind]

    def _request(self, precision: torch.dtype) -> Any:
        """Return this thread's own inference request."""
        requests: dict[torch.dtype, Any] = self._own.__dict__.setdefault("requests", {})
        if precision not in requests:
            requests[precision] = self.compile(precision).create_infer_request()
        return requests[precision]

    def _compile(self, hint: str, threads: int) -> Any:
        """Compile without pinning threads to cores, since other work runs in parallel."""
        settings = {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,
        }
        try:
            return _core().compile_model(self._file, "CPU", settings)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1][:100]
            raise WeightsError(f"{self._file}: not a graph that OpenVINO can run ({reason}); fetch it again") from error
