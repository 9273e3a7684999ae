"""Read pickles that hold numpy arrays and plain containers, without running anything they ask for.

Nothing named in the file is imported. The few names that numpy's own pickles use are answered by stand-ins that
record what they are given; every other name is refused.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_TYPES = {
    "f2": torch.float16,
    "f4": torch.float32,
    "f8": torch.float64,
    "i1": torch.int8,
    "i2": torch.int16,
    "i4": torch.int32,
    "i8": torch.int64,
    "u1": torch.uint8,
    "b1": torch.bool,
}


class _Standin:
    """Answers a call from a pickle; its state cannot be set from there."""

    __slots__ = ("_answer",)

    def __init__(self, answer: Callable[..., Any]):
        self._answer = answer

    def __call__(self, *args: Any) -> Any:
        return self._answer(*args)

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("it changes what a name means")


class _Type:
    """A numpy dtype: its code, and the byte order that follows as state."""

    __slots__ = ("code", "order")

    def __init__(self, code: object, *_: object):
        if not isinstance(code, str) or code.lstrip("<>|=") not in _TYPES:
            raise pickle.UnpicklingError(f"it holds an array of type {code!r}")
        self.code, self.order = code.lstrip("<>|="), code[:1]

    def __setstate__(self, state: tuple) -> None:
        self.order = state[1]


class _Array:
    """A numpy array: everything arrives as state."""

    __slots__ = ("tensor",)

    def __init__(self):
        self.tensor: Tensor | None = None

    def __setstate__(self, state: tuple) -> None:
        _, shape, kind, fortran, data = state
        self.tensor = _tensor(data, kind, shape, fortran)


def _tensor(data: object, kind: object, shape: object, fortran: bool) -> Tensor:
    """Read an array's bytes after checking that there are exactly as many as its shape says."""
    if not isinstance(kind, _Type) or not isinstance(data, bytes | bytearray) or not isinstance(shape, tuple):
        raise pickle.UnpicklingError("an array is not made of type, shape and bytes")
    if kind.order == ">":
        raise pickle.UnpicklingError("an array is stored in big-endian order")
    itemsize = int(kind.code[1:])
    if not all(isinstance(n, int) and n >= 0 for n in shape) or math.prod(shape) * itemsize != len(data):
        raise pickle.UnpicklingError(f"an array of shape {shape} has {len(data)} bytes")
    if not data:
        return torch.empty(shape, dtype=_TYPES[kind.code])
    flat = torch.frombuffer(bytearray(data), dtype=_TYPES[kind.code])
    if fortran:
        return flat.reshape(shape[::-1]).permute(*range(len(shape) - 1, -1, -1))
    return flat.reshape(shape)


def _filled(tensor: Tensor) -> _Array:
    array = _Array()
    array.tensor = tensor
    return array


def _latin1(text: object, encoding: object) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("it encodes text other than an array's bytes")
    return text.encode("latin1")


def _answers() -> dict[tuple[str, str], Callable[..., Any]]:
    """Return what numpy's pickles may ask for; numpy 2 moved `core` to `_core`."""
    answers: dict[tuple[str, str], Callable[..., Any]] = {
        ("numpy", "dtype"): _Type,
        ("numpy", "ndarray"): _Array,
        ("_codecs", "encode"): _latin1,
    }
    for core in ("numpy.core", "numpy._core"):
        answers[f"{core}.multiarray", "_reconstruct"] = lambda *_: _Array()
        answers[f"{core}.multiarray", "scalar"] = lambda kind, data: _filled(_tensor(data, kind, (), False))
        answers[f"{core}.numeric", "_frombuffer"] = lambda data, kind, shape, order: _filled(
            _tensor(data, kind, shape, order == "F")
        )
    return answers


# The unpickler written in Python: the faster one lets a short file reserve any amount of memory.
class _Reader(pickle._Unpickler):  # type: ignore[name-defined]
    def find_class(self, module: str, name: str) -> Any:
        answer = _answers().get((module, name))
        if answer is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _Standin(answer)


def loads(data: bytes) -> Any:
    """Read a pickle.

    Args:
        data: The whole file.

    Returns:
        What it holds; pass arrays through `as_tensor`.

    Raises:
        pickle.UnpicklingError: It is no pickle, is damaged, or asks for more than arrays and plain containers.
    """
    try:
        return _Reader(io.BytesIO(data)).load()
    except pickle.UnpicklingError:
        raise
    # A damaged or hostile pickle can make the reader fail in any way at all.
    except Exception as error:
        raise pickle.UnpicklingError(f"it is damaged ({type(error).__name__}: {error})") from error


def as_tensor(value: object) -> Tensor:
    """Turn an array or a number that `loads` returned into a tensor.

    Raises:
        TypeError: It is something else.
    """
    if isinstance(value, _Array) and value.tensor is not None:
        return value.tensor
    if isinstance(value, bool | int | float):
        return torch.tensor(value)
    raise TypeError(f"expected an array, found {type(value).__name__}")
