"""Import packages without what they would start, write or send while they are imported.

Some packages do more than define names when they are imported. None of it is needed here, and whoever makes a video of
a face does not expect it:

- `openvino` tells an analytics server that it was imported, through `openvino_telemetry`, and keeps a user's number in
  the home folder. Without that package it says nothing.
- `mediapipe` imports `sounddevice`, which starts a compiler and a linker to find a library, and `matplotlib.pyplot`,
  which lists all fonts of the machine and writes that list down.
- `scipy` (and `transformers`, which uses it) touches `numpy.testing`, which starts `lscpu`.
- `torch._dynamo` (which `transformers`, `timm` and PyTorch's meta device import) makes a folder for compiled networks.

Every import of one of them, and every use of the meta device, stands in `with quiet_imports():`. What was imported
before is left alone, and afterwards anybody in the process who imports one of these packages gets the real one.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

_ABSENT = ("openvino_telemetry",)
"""Reports what it is told; whoever uses it can do without."""

_POSTPONED = ("matplotlib", "matplotlib.pyplot", "numpy.testing", "sounddevice")
"""Imported when something of them is used, which nothing here does."""

_COMPILED = "TORCHINDUCTOR_CACHE_DIR"
"""The variable that names PyTorch's folder for compiled networks; one that exists need not be made."""

_lock = threading.RLock()


@contextmanager
def quiet_imports() -> Iterator[None]:
    """Keep the packages imported meanwhile from reporting, starting programs and writing files."""
    with _lock, ExitStack() as after:
        for name in _POSTPONED:
            if name not in sys.modules:
                after.callback(_stand_in(name).withdraw)
        for name in _ABSENT:
            if name not in sys.modules:
                sys.modules[name] = None  # pyright: ignore[reportArgumentType] — Python's way of saying: not there
                after.callback(sys.modules.pop, name)
        if "torch._dynamo" not in sys.modules and _COMPILED not in os.environ:
            os.environ[_COMPILED] = os.path.dirname(__file__)
            after.callback(os.environ.pop, _COMPILED)
        yield


class _Postponed(ModuleType):
    """Stands for a module until something of it is used; then it is imported."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # asked by those who list all modules
            raise AttributeError(name)
        self.withdraw()
        return getattr(import_module(self.__name__), name)

    def withdraw(self) -> None:
        """Give the name back to the real module."""
        parent, _, child = self.__name__.rpartition(".")
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        if vars(sys.modules.get(parent, self)).get(child) is self:
            delattr(sys.modules[parent], child)


def _stand_in(name: str) -> _Postponed:
    module = sys.modules[name] = _Postponed(name)
    parent, _, child = name.rpartition(".")
    if parent:  # where a package looks for its own module before it imports it
        setattr(import_module(parent), child, module)
    return module
