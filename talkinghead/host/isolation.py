"""Make results independent of the caller's per-thread settings of PyTorch and NumPy.

`own_settings` is never active in the caller's code: iterators apply it item by item, and the caller's iterators run
with the caller's settings. The default type of tensors is global to the process, so the library never relies on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch

from talkinghead.host.threads import limit_threads

Item = TypeVar("Item")

_AUTOCAST = ("cpu", "cuda")
_END: Any = object()


@dataclass(frozen=True)
class Settings:
    """The settings of a thread.

    Attributes:
        device: The default device of tensors.
        autocast: The autocast type for each kind of device, or None.
        errors: NumPy's handling of floating-point errors.
        num_threads: How many threads do PyTorch's work, or None for as many as do it already.
    """

    device: torch.device
    autocast: tuple[torch.dtype | None, ...]
    errors: dict[str, Any]
    num_threads: int | None = None

    @staticmethod
    def now() -> Settings:
        """Return the settings of this thread."""
        casts = (torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None for kind in _AUTOCAST)
        return Settings(torch.get_default_device(), tuple(casts), dict(np.geterr()), torch.get_num_threads())

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Apply the settings to this thread."""
        before = Settings.now()
        with ExitStack() as stack:
            stack.enter_context(np.errstate(**self.errors))
            for kind, old, new in zip(_AUTOCAST, before.autocast, self.autocast, strict=True):
                if old != new:
                    stack.enter_context(torch.autocast(kind, new or old, enabled=new is not None))
            if before.device != self.device:  # costs time in every call of PyTorch
                stack.enter_context(self.device)
            if self.num_threads not in (None, before.num_threads):
                stack.enter_context(limit_threads(self.num_threads))
            yield


_OURS = Settings(torch.device("cpu"), (None, None), {"all": "ignore"})
_ALONE = replace(_OURS, num_threads=1)


@contextmanager
def own_settings() -> Iterator[None]:
    """Apply the library's settings; as a decorator it is not for generator functions."""
    with _OURS.applied():
        yield


@contextmanager
def computing_alone() -> Iterator[None]:
    """Apply the library's settings and do all of PyTorch's work in this thread.

    Threads that help with a small sum then spin until the next one, and take the time of those that render.
    """
    with _ALONE.applied():
        yield


def made_with_own(items: Iterable[Item]) -> Iterator[Item]:
    """Compute each item with the library's settings, and restore the caller's between items."""
    return _made_with(_OURS, iter(items))


def made_alone(items: Iterable[Item]) -> Iterator[Item]:
    """Compute each item as in `computing_alone`, and restore the caller's settings between items."""
    return _made_with(_ALONE, iter(items))


def made_with_callers(items: Iterable[Item]) -> Iterator[Item]:
    """Compute each item with the caller's current settings."""
    return _made_with(Settings.now(), iter(items))


def _made_with(settings: Settings, items: Iterator[Item]) -> Iterator[Item]:
    while True:
        with settings.applied():
            item = next(items, _END)
        if item is _END:
            return
        yield item
