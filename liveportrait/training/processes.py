"""Training in several processes, started by `accelerate launch` or `torchrun`; one process needs nothing."""

from __future__ import annotations

import os
from typing import Any

from torch import nn

from liveportrait.training.loop import TrainingError


class Processes:
    """The processes of a run.

    Attributes:
        rank: Number of this process.
        world: How many there are.
        device: Device of this process.
    """

    def __init__(self, device: str) -> None:
        self.rank, self.world, self.device, self._accelerator = 0, 1, device, None
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            from accelerate import Accelerator

            accelerator: Any = Accelerator(cpu=not device.startswith("cuda"))
            self.rank, self.world = accelerator.process_index, accelerator.num_processes
            self.device, self._accelerator = str(accelerator.device), accelerator

    def share(self, network: nn.Module) -> nn.Module:
        """Return a network whose backward pass averages the gradients over all processes."""
        if self._accelerator is None:
            return network
        if self.device.startswith("cuda"):
            nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return self._accelerator.prepare(network)

    def part(self, size: int, pieces: int = 1) -> slice:
        """Return the rows of a batch of `size` that belong to this process, which it divides into equal `pieces`.

        Raises:
            TrainingError: The batch cannot be divided so.
        """
        if size % (self.world * pieces):
            raise TrainingError(f"batch_size={size} cannot be divided among {self.world} processes in {pieces} parts")
        each = size // self.world
        return slice(self.rank * each, (self.rank + 1) * each)

    def close(self) -> None:
        """Leave the group of processes."""
        if self._accelerator is not None:
            self._accelerator.end_training()
