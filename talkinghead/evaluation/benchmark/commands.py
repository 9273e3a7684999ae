"""Measure speed and memory, stage by stage, and print a table.

    python talkinghead/evaluation/benchmark/commands.py base                      # random weights: the time does not depend on them
    python talkinghead/evaluation/benchmark/commands.py base --batches 1 --repeats 3 --threads 1
    python talkinghead/evaluation/benchmark/commands.py base --device cuda --json base.json
    python talkinghead/evaluation/benchmark/commands.py mini                       # the embedded renderer, in PyTorch and compiled
    python talkinghead/evaluation/benchmark/commands.py stream --repeats 5         # delay of live pictures, real-time factor

A part is a module `benchmark_<part>.py` beside this file with `run(settings)`, which yields rows.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import platform
from pathlib import Path

import torch
from talkinghead.evaluation.benchmark.timing import Row, Settings

PARTS = ("base", "mini", "stream")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--model", type=Path, help="directory of a checkpoint; random weights without")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, help="write the rows here too")
    return parser.parse_args()


def machine(settings: Settings) -> str:
    """Name what the figures were measured on."""
    if settings.device == "cuda":
        name = torch.cuda.get_device_name()
    else:
        lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        name = f"{names[0] if names else platform.processor()}, {settings.threads} threads"
    return f"{name}, torch {torch.__version__}"


def print_row(row: Row) -> None:
    print(
        f"{row.stage:<34}{row.batch:>5}  {row.setting:<18}{row.milliseconds:>10.1f}"
        f"{row.milliseconds / row.batch:>10.1f}{row.cpu_milliseconds / row.batch:>10.1f}"
        f"{row.gflop:>10.1f}{row.megaparameters:>9.2f}{row.peak_mb:>9.0f}",
        flush=True,
    )


def main() -> None:
    arguments = parse()
    if arguments.threads != torch.get_num_threads():  # torch 2.11's batched solve breaks once two threads are asked for
        torch.set_num_threads(arguments.threads)
    settings = Settings(
        tuple(arguments.batches), arguments.repeats, arguments.device, arguments.threads, arguments.model
    )
    print(machine(settings))
    heads = ("ms", "ms/frame", "CPU/frame", "GFLOP")
    print(f"{'stage':<34}{'batch':>5}  {'setting':<18}" + "".join(f"{head:>10}" for head in heads), end="")
    print(f"{'M param':>9}{'MB':>9}")
    rows = []
    for row in importlib.import_module(f"benchmark_{arguments.part}").run(settings):
        rows.append(row)
        print_row(row)
    if arguments.json:
        table = {"machine": machine(settings), "rows": [dataclasses.asdict(row) for row in rows]}
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
