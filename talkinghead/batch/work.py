"""Run jobs one after the other with networks that stay loaded."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from liveportrait.errors import PortraitError
from talkinghead.batch.jobs import Job


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job.

    Attributes:
        name: The job's name.
        error: The error in one line; empty on success.
        frames: The number of frames made.
        seconds: Its duration.
        attempts: The number of attempts.
    """

    name: str
    error: str = ""
    frames: int = 0
    seconds: float = 0.0
    attempts: int = 1


class Worker:
    """Runs jobs and keeps the networks loaded between them."""

    def __init__(self, threads: int | None = None) -> None:
        """Set the number of threads.

        Args:
            threads: Number of threads of the networks, so that workers share a machine's cores; None for the default.
        """
        self._models: dict[tuple[str, ...], Any] = {}
        if threads:
            import torch

            torch.set_num_threads(threads)

    def run(self, job: Job) -> Outcome:
        """Run one job; errors are returned in the outcome."""
        start = time.monotonic()
        try:
            frames = self._make(job)
        except PortraitError as error:
            return Outcome(job.name, " ".join(str(error).split()), seconds=time.monotonic() - start)
        except Exception as error:  # a bug must not stop the other jobs
            return Outcome(job.name, f"{type(error).__name__}: {error}", seconds=time.monotonic() - start)
        return Outcome(job.name, frames=frames, seconds=time.monotonic() - start)

    def _make(self, job: Job) -> int:
        options = job.options()
        render = options.render
        loaded = (job.model, render.device, job.voice_model, render.precision, render.landmarks)
        if loaded not in self._models:
            from talkinghead.models import load_models

            self._models = {loaded: load_models(*loaded)}  # frees the models used before
        return _function(job.command)(*job.inputs, job.output, options=options, model=self._models[loaded]).frames


def _function(command: str) -> Callable[..., Any]:
    from talkinghead import api
    from talkinghead.narration.narrate import narrate

    return {"speak": api.speak, "reenact": api.reenact, "narrate": narrate}[command]
