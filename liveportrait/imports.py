"""Import packages without the side effects of their import: reporting, subprocesses and files.

Some packages do more than define names when they are imported, which is not needed here and not expected by users:

- `openvino` reports its import to an analytics server through `openvino_telemetry`, and stores a user ID in the home
  folder. Without that package it reports nothing.
- `mediapipe` imports `sounddevice`, which runs a compiler and a linker to find a library, and `matplotlib.pyplot`,
  which writes a cache of all installed fonts.
- `scipy` (and `transformers`, which uses it) imports `numpy.testing`, which runs `lscpu`.
- `torch._dynamo` (which `transformers`, `timm` and PyTorch's meta device import) creates a folder for compiled code.

Every import of one of them is wrapped in `with quiet_imports():`, and the meta device is used by `with meta_device():`.
Modules that were imported before are left alone, and later imports of these packages get the real modules.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_ABSENT = ("openvino_telemetry",)
"""Optional package for reporting; its users work without it."""

_POSTPONED = ("matplotlib", "matplotlib.pyplot", "numpy.testing", "sounddevice")
"""Imported lazily on first use, which does not occur here."""

_COMPILED = "TORCHINDUCTOR_CACHE_DIR"
"""Environment variable of PyTorch's folder for compiled networks; an existing folder is not created."""

_lock = threading.RLock()


@contextmanager
def quiet_imports() -> Iterator[None]:
    """Prevent imports in this context from reporting, running programs and writing files."""
    with _lock, ExitStack() as after:
        for name in _POSTPONED:
            if name not in sys.modules:
                after.callback(_stand_in(name).withdraw)
        for name in _ABSENT:
            if name not in sys.modules:
                sys.modules[name] = None  # pyright: ignore[reportArgumentType] — marks the module as missing
                after.callback(sys.modules.pop, name)
        if "torch._dynamo" not in sys.modules and _COMPILED not in os.environ:
            os.environ[_COMPILED] = os.path.dirname(__file__)
            after.callback(os.environ.pop, _COMPILED)
        yield


@contextmanager
def meta_device() -> Iterator[None]:
    """Build networks for their shapes alone, without memory for their weights.

    What builds a network may import `torch._dynamo`, which PyTorch 2.6 cannot do on this device; it is imported first.
    """
    import torch

    with quiet_imports():
        import_module("torch._dynamo")
        with torch.device("meta"):
            yield


class _Postponed(ModuleType):
    """Placeholder for a module, which is imported on first use."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # accessed by code that inspects all modules
            raise AttributeError(name)
        self.withdraw()
        return getattr(import_module(self.__name__), name)

    def withdraw(self) -> None:
        """Restore the real module's name."""
        parent, _, child = self.__name__.rpartition(".")
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        if vars(sys.modules.get(parent, self)).get(child) is self:
            delattr(sys.modules[parent], child)


def _find_spec(name: str) -> ModuleSpec:
    """Find a module without importing it; its parent may be a placeholder, whose path would import that."""
    parent, path = name.rpartition(".")[0], None
    if parent:
        parent_spec = import_module(parent).__spec__
        path = (parent_spec.submodule_search_locations if parent_spec else None) or []
    found = (finder.find_spec(name, path) for finder in sys.meta_path)
    return next(filter(None, found), None) or ModuleSpec(name, None)


def _stand_in(name: str) -> _Postponed:
    module = _Postponed(name)
    module.__spec__ = _find_spec(name)  # `find_spec` in other threads returns it
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent:  # packages look up submodules as attributes before importing them
        setattr(import_module(parent), child, module)
    return module
