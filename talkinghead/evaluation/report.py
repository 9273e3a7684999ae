"""Print figures as tables, each with its unit and the direction that is better, and write them to a file."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

WIDEST = 12
"""Number of clips up to which each has a column of its own."""

UP, DOWN, ZERO, ONE = "↑", "↓", "→0", "→1"

MARKS = {
    "l1": DOWN,
    "psnr": f"dB {UP}",
    "ssim": UP,
    "mouth l1": DOWN,
    "mouth psnr": f"dB {UP}",
    "mouth ssim": UP,
    "lpips": DOWN,
    "mouth lpips": DOWN,
    "fid": DOWN,
    "aed": f"head {DOWN}",
    "apd deg": f"° {DOWN}",
    "gaze deg": f"° {DOWN}",
    "landmarks": f"eyes {DOWN}",
    "lips": f"eyes {DOWN}",
    "identity": UP,
    "faces": UP,
    "correlation": UP,
    "at best lag": UP,
    "width corr": UP,
    "lip r": UP,
    "lag": f"frames {ZERO}",
    "amplitude": ONE,
    "closed": UP,
    "sharpness": ONE,
    "natural": UP,
}
"""Unit and direction of figures: "head" is the head's size, "eyes" the distance of the eyes' centres."""


def title_of(figure: str) -> str:
    """Return a figure's name with its unit and the direction that is better; baselines have a word before the name."""
    mark = MARKS.get(figure) or MARKS.get(figure.partition(" ")[2])
    return f"{figure} ({mark})" if mark else figure


def summarise(rows: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return median and mean of every figure over the clips that have it."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    table = np.array([[row.get(name, np.nan) for name in names] for row in rows.values()], float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a figure that no clip has
        summary = {"median": np.nanmedian(table, 0), "mean": np.nanmean(table, 0)} if rows else {}
    return {name: dict(zip(names, map(float, values), strict=True)) for name, values in summary.items()}


def report(
    title: str,
    rows: dict[str, dict[str, float]],
    output: str | None = None,
    together: dict[str, dict[str, float]] | None = None,
    *,
    summary: bool = True,
) -> None:
    """Print one column for each clip, then median and mean; write JSON if asked.

    Args:
        title: Of the table.
        rows: Figures by clip.
        output: JSON file.
        together: Further columns that were not measured clip by clip.
        summary: Whether medians and means make sense.
    """
    further = (summarise(rows) if summary else {}) | (together or {})
    shown = (rows if len(rows) <= WIDEST else {}) | further
    view = Table("", *shown, title=title)
    for name in dict.fromkeys(name for row in shown.values() for name in row):
        view.add_row(title_of(name), *(_number(row.get(name, np.nan)) for row in shown.values()))
    Console(width=240).print(view)
    write_figures({"clips": rows, **further}, output)


def write_figures(tables: Mapping[str, object], output: str | None) -> None:
    """Write figures as JSON, if a file is given."""
    if output:
        Path(output).write_text(json.dumps(tables, indent=2) + "\n")


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3f}"
