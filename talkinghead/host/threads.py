"""Threads that compute alone, so that several pictures are rendered at the same time without waiting for each other."""

from __future__ import annotations

import torch
from threadpoolctl import ThreadpoolController


def compute_alone() -> None:
    """Make the calling thread do all of PyTorch's work itself, for good; other threads keep their settings."""
    torch.get_num_threads()  # PyTorch sets up a thread's OpenMP at its first use and would undo the limit
    ThreadpoolController().select(user_api="openmp").limit(limits=1)
