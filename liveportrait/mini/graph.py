"""Run the embedded networks as OpenVINO graphs, which are faster than PyTorch on a CPU."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from liveportrait.errors import WeightsError
from liveportrait.imports import quiet_imports

_HINTS = {torch.float32: "f32", torch.bfloat16: "bf16"}


@cache
def _core() -> Any:
    with quiet_imports():
        import openvino

    return openvino.Core()


def fastest_precision() -> torch.dtype:
    """Return bfloat16 if this CPU supports it natively, else float32."""
    return torch.bfloat16 if "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") else torch.float32


def write_graph(network: nn.Module, examples: Sequence[Tensor], file: Path) -> None:
    """Write a network to `file` (.xml) and its float16 weights to the .bin file beside it.

    Args:
        network: Maps tensors with a leading batch axis to one or several such tensors.
        examples: Inputs for tracing.
        file: Path of the .xml file.
    """
    with quiet_imports():
        import openvino

    shapes = [openvino.PartialShape([-1, *example.shape[1:]]) for example in examples]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, but OpenVINO needs it
        traced = torch.jit.trace(network.eval(), tuple(examples), check_trace=False)
        graph = openvino.convert_model(traced, example_input=tuple(examples), input=shapes)
    openvino.save_model(graph, file, compress_to_fp16=True)


class Graph:
    """The graph of a network, compiled on first use and shared by all threads."""

    def __init__(self, file: Path) -> None:
        """Set the path of a file written by `write_graph`."""
        self._file = file
        self._own, self._lock = threading.local(), threading.Lock()
        self._compiled: dict[torch.dtype, Any] = {}

    def suits(self, inputs: tuple[Tensor, ...], precision: torch.dtype) -> bool:
        """Return whether the graph can replace the network: on a CPU, without gradients, in float32 or bfloat16."""
        return (
            precision in _HINTS and all(value.device.type == "cpu" for value in inputs) and not torch.is_grad_enabled()
        )

    def run(self, inputs: tuple[Tensor, ...], precision: torch.dtype) -> Any:
        """Return the network's output: a float32 tensor or a tuple of them."""
        found = self._request(precision).infer([value.float().contiguous().numpy() for value in inputs])
        results = [torch.from_numpy(value) for value in found.values()]
        return tuple(results) if len(results) > 1 else results[0]

    def _request(self, precision: torch.dtype) -> Any:
        """Return this thread's own inference request."""
        requests: dict[torch.dtype, Any] = self._own.__dict__.setdefault("requests", {})
        if precision not in requests:
            with self._lock:
                if precision not in self._compiled:
                    self._compiled[precision] = self._compile(_HINTS[precision])
            requests[precision] = self._compiled[precision].create_infer_request()
        return requests[precision]

    def _compile(self, hint: str) -> Any:
        """Compile for as many threads as PyTorch uses, not pinned to cores, since other work runs in parallel."""
        settings = {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "ENABLE_CPU_PINNING": False,
        }
        try:
            return _core().compile_model(self._file, "CPU", settings)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1][:100]
            raise WeightsError(f"{self._file}: not a graph that OpenVINO can run ({reason}); fetch it again") from error
