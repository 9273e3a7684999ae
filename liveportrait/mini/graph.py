"""The embedded networks as graphs that OpenVINO runs on a processor, in less time than PyTorch needs there."""

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
    """Return bfloat16 where this processor multiplies it natively, which saves time, else float32."""
    return torch.bfloat16 if "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") else torch.float32


def write_graph(network: nn.Module, examples: Sequence[Tensor], file: Path) -> None:
    """Write a network as `file` (.xml) and its weights, in float16, beside it (.bin).

    Args:
        network: Takes tensors whose first axis is the batch, and gives one or several such.
        examples: Inputs to trace it with.
        file: Where to write.
    """
    with quiet_imports():
        import openvino

    shapes = [openvino.PartialShape([-1, *example.shape[1:]]) for example in examples]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the age of torch.jit, which is what OpenVINO takes
        traced = torch.jit.trace(network.eval(), tuple(examples), check_trace=False)
        graph = openvino.convert_model(traced, example_input=tuple(examples), input=shapes)
    openvino.save_model(graph, file, compress_to_fp16=True)


class Graph:
    """A network's graph, compiled when it is first needed; threads share it."""

    def __init__(self, file: Path) -> None:
        """Name the file that `write_graph` wrote."""
        self._file = file
        self._own, self._lock = threading.local(), threading.Lock()
        self._compiled: dict[torch.dtype, Any] = {}

    def suits(self, inputs: tuple[Tensor, ...], precision: torch.dtype) -> bool:
        """Tell whether it may stand for the network: on a CPU, without gradients, in float32 or bfloat16."""
        return (
            precision in _HINTS and all(value.device.type == "cpu" for value in inputs) and not torch.is_grad_enabled()
        )

    def run(self, inputs: tuple[Tensor, ...], precision: torch.dtype) -> Any:
        """Give what the network would: a tensor in float32, or a tuple of them."""
        found = self._request(precision).infer([value.float().contiguous().numpy() for value in inputs])
        results = [torch.from_numpy(value) for value in found.values()]
        return tuple(results) if len(results) > 1 else results[0]

    def _request(self, precision: torch.dtype) -> Any:
        """Return this thread's own place to compute in."""
        requests: dict[torch.dtype, Any] = self._own.__dict__.setdefault("requests", {})
        if precision not in requests:
            with self._lock:
                if precision not in self._compiled:
                    self._compiled[precision] = self._compile(_HINTS[precision])
            requests[precision] = self._compiled[precision].create_infer_request()
        return requests[precision]

    def _compile(self, hint: str) -> Any:
        """Compile for as many threads as PyTorch has, free to move between cores: other work runs beside it."""
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
