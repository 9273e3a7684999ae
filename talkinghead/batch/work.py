"""What a worker does: one job after the other, with networks that are loaded once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from liveportrait.errors import PortraitError
from talkinghead.batch.jobs import Job


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        name: The job's.
        error: One line on what was wrong; empty where all went well.
        frames: How many were made.
        seconds: How long it took.
        attempts: How often it was started.
    """

    name: str
    error: str = ""
    frames: int = 0
    seconds: float = 0.0
    attempts: int = 1


class Worker:
    """Makes videos; the networks stay loaded from job to job."""

    def __init__(self, threads: int | None = None) -> None:
        """Prepare for jobs.

        Args:
            threads: How many threads the networks may use, so that workers on one machine share its cores.
        """
        self._models: dict[tuple[str, ...], Any] = {}
        if threads:
            import torch

            torch.set_num_threads(threads)

    def run(self, job: Job) -> Outcome:
        """Make one video; whatever goes wrong is the outcome, and the next job can come."""
        begun = time.monotonic()
        try:
            frames = self._make(job)
        except PortraitError as error:
            return Outcome(job.name, " ".join(str(error).split()), seconds=time.monotonic() - begun)
        except Exception as error:  # a bug must not take the other jobs along
            return Outcome(job.name, f"{type(error).__name__}: {error}", seconds=time.monotonic() - begun)
        return Outcome(job.name, frames=frames, seconds=time.monotonic() - begun)

    def _make(self, job: Job) -> int:
        options = job.options()
        loaded = (job.model, options.render.device, job.voice_model, options.render.precision)
        if loaded not in self._models:
            from talkinghead.models import load_models

            self._models = {loaded: load_models(*loaded)}  # the ones before are let go
        return _door(job.command)(*job.inputs, job.output, options=options, model=self._models[loaded]).frames


def _door(command: str) -> Callable[..., Any]:
    from talkinghead import api
    from talkinghead.narration.narrate import narrate

    return {"speak": api.speak, "reenact": api.reenact, "narrate": narrate}[command]
