"""Threads that compute alone, so that several pictures are rendered at the same time without waiting for each other."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

import torch
from threadpoolctl import ThreadpoolController


def compute_alone() -> None:
    """Make the calling thread do all of PyTorch's work itself, for good; other threads keep their settings."""
    limit_threads(1)


def limit_threads(count: int) -> AbstractContextManager:
    """Have the calling thread's work in PyTorch done by so many threads, until the end of the `with` block if any."""
    torch.get_num_threads()  # PyTorch sets up a thread's OpenMP at its first use and would undo the limit
    return _openmp().limit(limits=count)


@cache
def _openmp() -> ThreadpoolController:
    """Return the control of PyTorch's OpenMP, which takes milliseconds to find."""
    return ThreadpoolController().select(user_api="openmp")
