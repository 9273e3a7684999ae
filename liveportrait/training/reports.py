"""Show how a run goes: a progress line with the time left, and TensorBoard."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from liveportrait.training.loop import Figures, TrainingError


class ProgressLine:
    """Writes steps and the time left to standard error, on one line of a terminal and nowhere else."""

    def __init__(self) -> None:
        self._begun, self._first = time.monotonic(), -1

    def __call__(self, step: int, total: int) -> None:
        """Show that `step` of `total` steps are done."""
        if not sys.stderr.isatty():
            return
        if self._first < 0:
            self._begun, self._first = time.monotonic(), step
            return
        pace = (time.monotonic() - self._begun) / (step - self._first)
        sys.stderr.write(f"\r{step}/{total} steps, {pace:.2f} s each, {duration(pace * (total - step))} left \x1b[K")
        sys.stderr.write("\n" * (step == total))


def duration(seconds: float) -> str:
    """Write a duration in the two largest units that matter."""
    minutes = round(seconds / 60)
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def tensorboard(folder: Path, pictures: Callable[[], Tensor | None]) -> Callable[[int, Figures], None]:
    """Return a function that writes a run's figures and pictures for TensorBoard.

    Args:
        folder: Of the run.
        pictures: Returns a picture (3, H, W) in [0, 1] that shows what the run has learned, or None.

    Raises:
        TrainingError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise TrainingError("TensorBoard is not installed; install it with `pip install tensorboard`") from None
    writer = SummaryWriter(str(folder / "tensorboard"))

    def report(step: int, figures: Figures) -> None:
        for name, value in figures.items():
            writer.add_scalar(name, value, step)
        picture = pictures()
        if picture is not None:
            writer.add_image("validation", picture.clamp(0, 1).cpu(), step)
        writer.flush()

    return report
