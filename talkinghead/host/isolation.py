"""How PyTorch and NumPy compute is set per thread; the library computes as it was made to, whatever its caller set.

`own_settings` never spans a caller's code: an iterator computes under it item by item, and what a caller yields to us
is computed under the caller's own. The default type of tensors is set for all threads at once: it is never relied on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch

Item = TypeVar("Item")

_AUTOCAST = ("cpu", "cuda")
_END: Any = object()


@dataclass(frozen=True)
class Settings:
    """What a thread has set.

    Attributes:
        device: Where new tensors lie.
        autocast: For each kind of device the type to which networks are cast, or None.
        errors: NumPy's answers to overflow and the like.
    """

    device: torch.device
    autocast: tuple[torch.dtype | None, ...]
    errors: dict[str, Any]

    @staticmethod
    def now() -> Settings:
        """Return those of this thread."""
        casts = (torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None for kind in _AUTOCAST)
        return Settings(torch.get_default_device(), tuple(casts), dict(np.geterr()))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Compute under them."""
        before = Settings.now()
        with ExitStack() as stack:
            stack.enter_context(np.errstate(**self.errors))
            for kind, old, new in zip(_AUTOCAST, before.autocast, self.autocast, strict=True):
                if old != new:
                    stack.enter_context(torch.autocast(kind, new or old, enabled=new is not None))
            if before.device != self.device:  # costs time in every call of PyTorch
                stack.enter_context(self.device)
            yield


_OURS = Settings(torch.device("cpu"), (None, None), {"all": "ignore"})


@contextmanager
def own_settings() -> Iterator[None]:
    """Compute under our settings; as a decorator it is for functions that yield nothing."""
    with _OURS.applied():
        yield


def made_with_own(items: Iterable[Item]) -> Iterator[Item]:
    """Compute every item under our settings; whoever asks for it goes on under its own."""
    return _made_with(_OURS, iter(items))


def made_with_callers(items: Iterable[Item]) -> Iterator[Item]:
    """Let a caller's items be computed under the settings that are the caller's now."""
    return _made_with(Settings.now(), iter(items))


def _made_with(settings: Settings, items: Iterator[Item]) -> Iterator[Item]:
    while True:
        with settings.applied():
            item = next(items, _END)
        if item is _END:
            return
        yield item
