"""Commands that measure speed and memory of the networks, stage by stage, and print a table."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import torch
import typer

from talkinghead.cli.tools import new_app
from talkinghead.evaluation.benchmark import base, live, mini, speak, stream
from talkinghead.evaluation.benchmark.timing import Row, Settings
from talkinghead.evaluation.options import check_figures_file

PARTS: dict[str, Callable[[Settings], Iterable[Row]]] = {
    "base": base.run,
    "mini": mini.run,
    "stream": stream.run,
    "live": live.run,
    "speak": speak.run,
}

app = new_app("Measure speed and memory of the networks, stage by stage.")


@app.command()
def benchmark(
    part: Annotated[
        Literal["base", "mini", "stream", "live", "speak"],
        typer.Argument(
            help="The official networks, the embedded ones, the delay of live pictures, live sessions, or all of speak."
        ),
    ],
    model: Annotated[Path | None, typer.Option(help="Folder of a checkpoint; default: random weights.")] = None,
    batches: Annotated[list[int], typer.Option(help="Frames per call; may be given several times.")] = [1, 4, 8],  # noqa: B006
    repeats: Annotated[int, typer.Option(help="Timed calls per row; the median is printed.")] = 5,
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Where to compute.")] = "cpu",
    threads: Annotated[int | None, typer.Option(help="CPU threads; default: PyTorch's.")] = None,
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"],
        typer.Option(help="Of the renderer in speak, stream and live; the other parts measure all."),
    ] = "auto",
    minutes: Annotated[
        int, typer.Option(min=0, help="Of speak: render for so long and print the speed of each minute, nothing else.")
    ] = 0,
    output: Annotated[Path | None, typer.Option("--json", help="Write the rows here, too.")] = None,
) -> None:
    """Measure one part and print a table."""
    check_figures_file(output)
    if threads is not None and threads != torch.get_num_threads():
        torch.set_num_threads(threads)  # never without need: it breaks batched solving in torch 2.11
    settings = Settings(tuple(batches), repeats, device, torch.get_num_threads(), model, precision, minutes)
    typer.echo(machine(settings))
    heads = "".join(f"{head:>10}" for head in ("ms", "ms/frame", "CPU/frame", "GFLOP"))
    typer.echo(f"{'stage':<34}{'batch':>5}  {'setting':<18}{heads}{'M param':>9}{'MB':>9}")
    rows = []
    for row in PARTS[part](settings):
        rows.append(row)
        typer.echo(format_row(row))
    if output is not None:
        table = {"machine": machine(settings), "rows": [asdict(row) for row in rows]}
        output.write_text(json.dumps(table, indent=1) + "\n")


def machine(settings: Settings) -> str:
    """Name what the figures were measured on."""
    if settings.device == "cuda":
        name = torch.cuda.get_device_name()
    else:
        lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        name = f"{names[0] if names else platform.processor()}, {settings.threads} threads"
    return f"{name}, torch {torch.__version__}"


def format_row(row: Row) -> str:
    """Format one line of the table."""
    return (
        f"{row.stage:<34}{row.batch:>5}  {row.setting:<18}{row.milliseconds:>10.1f}"
        f"{row.milliseconds / row.batch:>10.1f}{row.cpu_milliseconds / row.batch:>10.1f}"
        f"{row.gflop:>10.1f}{row.megaparameters:>9.2f}{row.peak_mb:>9.0f}"
    )
