"""What every part of the benchmark shares: settings, one measured row, and how a call is timed."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from liveportrait.config import Precision
from liveportrait.graph import fastest_precision
from talkinghead.options import PRECISION


@dataclass(frozen=True)
class Settings:
    """What to measure and how.

    Attributes:
        batches: Batch sizes.
        repeats: Timed calls per row, after one that counts and is not timed; medians are reported.
        device: "cpu" or "cuda".
        threads: CPU threads.
        model: Directory of a checkpoint, or None for random weights.
        precision: In what the renderer of `speak`, `stream` and `live` computes; "auto" for what is fastest.
        minutes: How long `speak` renders without a pause, instead of everything else; 0 for no such run.
    """

    batches: tuple[int, ...]
    repeats: int
    device: str
    threads: int
    model: Path | None
    precision: str = PRECISION
    minutes: int = 0


def precisions(device: str) -> tuple[Precision, ...]:
    """List the precisions that a device computes in; a CPU without bfloat16 would emulate it, very slowly."""
    if device == "cuda":
        return "fp32", "fp16", "bf16"
    return ("fp32", "bf16") if fastest_precision() == torch.bfloat16 else ("fp32",)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        stage: What was called.
        batch: Frames per call.
        setting: Precision, sampler, eager or compiled.
        milliseconds: Median of one call.
        cpu_milliseconds: The same counted in processor time of all threads: on a busy machine the honest figure, with
            one thread; with more, threads that wait are counted too.
        gflop: Products and sums of one call, in thousands of millions.
        megaparameters: Parameters behind it, in millions.
        peak_mb: Most memory during the call above what was held before, in MB.
    """

    stage: str
    batch: int
    setting: str
    milliseconds: float
    cpu_milliseconds: float
    gflop: float
    megaparameters: float
    peak_mb: float


class _Peak(threading.Thread):
    """Watches this process's memory while a call runs."""

    def __init__(self):
        super().__init__(daemon=True)
        self.stop, self.start_bytes = threading.Event(), _resident_bytes()
        self.peak_bytes = self.start_bytes

    def run(self) -> None:
        """Sample every two milliseconds."""
        while not self.stop.wait(0.002):
            self.peak_bytes = max(self.peak_bytes, _resident_bytes())


def _resident_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    except OSError:
        return 0


def measure(stage: str, batch: int, setting: str, call: Callable[[], object], parameters: int, s: Settings) -> Row:
    """Time one call.

    Args:
        stage: Name of the row.
        batch: Frames per call.
        setting: How it runs.
        call: What to time; runs `repeats` + 1 times.
        parameters: Parameters behind it.
        s: How often, and where.
    """
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counter:
            peak_mb = _peak_mb(call, s.device)
        times = [_seconds(call, s.device) for _ in range(s.repeats)]
    wall, cpu = (1000 * statistics.median(part) for part in zip(*times, strict=True))
    return Row(
        stage=stage,
        batch=batch,
        setting=setting,
        milliseconds=wall,
        cpu_milliseconds=cpu,
        gflop=counter.get_total_flops() / 1e9,
        megaparameters=parameters / 1e6,
        peak_mb=peak_mb,
    )


def _peak_mb(call: Callable[[], object], device: str) -> float:
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    watch = _Peak()
    watch.start()
    call()
    watch.stop.set()
    watch.join()
    return (watch.peak_bytes - watch.start_bytes) / 1e6


def _seconds(call: Callable[[], object], device: str) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - cpu
