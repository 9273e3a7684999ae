"""Read pickles of numpy arrays and plain containers without executing code from them.

Names in the file are not imported. The few names that numpy's own pickles use are replaced by stand-ins that record
their arguments; all others are refused. Memory and time are proportional to the size of the file.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
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
# Opcodes that create instances, sets and copies, or refer to external objects.
_COPIES = {"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EMPTY_SET", "ADDITEMS", "FROZENSET", "DUP"}
_OUTSIDE = {"EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "NEXT_BUFFER", "READONLY_BUFFER"}
_MOST_STEPS = 5_000_000
"""About 25,000 frames of upstream's templates, or 15 minutes; malicious opcodes can use at most 500 MB."""
_MOST_AXES = 8


class _Standin:
    """A callable for pickles whose state they cannot set."""

    __slots__ = ("_answer",)

    def __init__(self, answer: Callable[..., Any]):
        self._answer = answer

    def __call__(self, *args: Any) -> Any:
        return self._answer(*args)

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("it changes what a name means")


class _Type:
    """A numpy dtype: its code, and its byte order, which is set as state."""

    __slots__ = ("code", "order")

    def __init__(self, code: object, *_: object):
        if not isinstance(code, str) or code.lstrip("<>|=") not in _TYPES:
            named = repr(code[:20]) if isinstance(code, str) else type(code).__name__
            raise pickle.UnpicklingError(f"it holds an array of type {named}")
        self.code, self.order = code.lstrip("<>|="), code[:1]

    def __setstate__(self, state: tuple) -> None:
        self.order = state[1]


class _Budget:
    """Remaining bytes that may be copied: each byte of the file once as text and once as an array.

    It prevents a few bytes that are referenced repeatedly from filling the memory.
    """

    def __init__(self, size: int):
        self._left = 2 * size

    def spend(self, data: bytes | bytearray | str) -> None:
        self._left -= len(data)
        if self._left < 0:
            raise pickle.UnpicklingError("its arrays are larger than the file")


class _Array:
    """A numpy array, which is set as state."""

    __slots__ = ("_budget", "tensor")

    def __init__(self, budget: _Budget, tensor: Tensor | None = None):
        self._budget, self.tensor = budget, tensor

    def __setstate__(self, state: tuple) -> None:
        _, shape, kind, fortran, data = state
        self.tensor = _tensor(data, kind, shape, fortran, self._budget)


def _tensor(data: object, kind: object, shape: object, fortran: bool, budget: _Budget) -> Tensor:
    """Convert an array's bytes to a tensor if their number matches its shape."""
    if not isinstance(kind, _Type) or not isinstance(data, bytes | bytearray) or not isinstance(shape, tuple):
        raise pickle.UnpicklingError("an array is not made of type, shape and bytes")
    if kind.order == ">":
        raise pickle.UnpicklingError("an array is stored in big-endian order")
    itemsize = int(kind.code[1:])
    if len(shape) > _MOST_AXES or not all(isinstance(n, int) and 0 <= n < 1 << 40 for n in shape):
        raise pickle.UnpicklingError(f"an array's shape is not made of at most {_MOST_AXES} numbers")
    if math.prod(shape) * itemsize != len(data):
        raise pickle.UnpicklingError(f"an array of shape {shape} has {len(data)} bytes")
    budget.spend(data)
    if not data:
        return torch.empty(shape, dtype=_TYPES[kind.code])
    flat = torch.frombuffer(bytearray(data), dtype=_TYPES[kind.code])
    if fortran:
        return flat.reshape(shape[::-1]).permute(*range(len(shape) - 1, -1, -1))
    return flat.reshape(shape)


def _latin1(text: object, encoding: object, budget: _Budget) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("it encodes text other than an array's bytes")
    budget.spend(text)
    return text.encode("latin1")


def _answers(budget: _Budget) -> dict[tuple[str, str], Callable[..., Any]]:
    """Return the stand-ins for names in numpy's pickles; numpy 2 moved `core` to `_core`."""

    def filled(data: object, kind: object, shape: object = (), order: object = "C") -> _Array:
        return _Array(budget, _tensor(data, kind, shape, order == "F", budget))

    answers: dict[tuple[str, str], Callable[..., Any]] = {
        ("numpy", "dtype"): _Type,
        ("numpy", "ndarray"): lambda: _Array(budget),
        ("_codecs", "encode"): lambda text, encoding: _latin1(text, encoding, budget),
    }
    for core in ("numpy.core", "numpy._core"):
        answers[f"{core}.multiarray", "_reconstruct"] = lambda *_: _Array(budget)
        answers[f"{core}.multiarray", "scalar"] = lambda kind, data: filled(data, kind)
        answers[f"{core}.numeric", "_frombuffer"] = filled
    return answers


def _with_text_keys(load: Callable[[Any], None], keys: slice) -> Callable[[Any], None]:
    """Wrap an opcode that fills a dictionary to refuse keys other than text: hashing nested tuples can take forever."""

    def checked(reader: Any) -> None:
        if not all(type(key) is str for key in reader.stack[keys]):
            raise pickle.UnpicklingError("it has a dictionary whose keys are no texts")
        load(reader)

    return checked


# Use the Python unpickler: the C version lets a short file allocate any amount of memory.
class _Reader(pickle._Unpickler):  # type: ignore[name-defined]
    dispatch = pickle._Unpickler.dispatch | {  # type: ignore[attr-defined]
        code[0]: _with_text_keys(pickle._Unpickler.dispatch[code[0]], keys)  # type: ignore[attr-defined]
        for code, keys in (
            (pickle.SETITEM, slice(-2, -1)),
            (pickle.SETITEMS, slice(None, None, 2)),
            (pickle.DICT, slice(None, None, 2)),
        )
    }

    def __init__(self, data: bytes):
        super().__init__(io.BytesIO(data))
        self._answers = _answers(_Budget(len(data)))

    def find_class(self, module: str, name: str) -> Any:
        answer = self._answers.get((module, name))
        if answer is None:
            raise pickle.UnpicklingError(f"it asks for {module[:40]}.{name[:40]}")
        return _Standin(answer)


def _check_steps(data: bytes) -> None:
    """Refuse lengths beyond the file's end, opcodes that arrays do not need, and too many opcodes, before loading."""
    for count, (opcode, _, _) in enumerate(pickletools.genops(data)):
        if opcode.name in _COPIES | _OUTSIDE:
            raise pickle.UnpicklingError(f"it uses {opcode.name}, which arrays do not need")
        if count == _MOST_STEPS:
            raise pickle.UnpicklingError(f"it has more than {_MOST_STEPS} steps")


def loads(data: bytes) -> Any:
    """Read a pickle.

    Args:
        data: Content of the file.

    Returns:
        Its content; convert arrays with `as_tensor`.

    Raises:
        pickle.UnpicklingError: It is not a pickle, is damaged, or holds more than arrays and plain containers.
    """
    try:
        _check_steps(data)
        return _Reader(data).load()
    except pickle.UnpicklingError:
        raise
    # A damaged or malicious pickle can cause any exception.
    except Exception as error:
        raise pickle.UnpicklingError(f"it is damaged ({type(error).__name__}: {str(error)[:100]})") from error


def as_tensor(value: object) -> Tensor:
    """Convert an array or a number from `loads` to a tensor.

    Raises:
        TypeError: `value` is neither.
    """
    if isinstance(value, _Array) and value.tensor is not None:
        return value.tensor
    if isinstance(value, bool | int | float):
        return torch.tensor(value)
    raise TypeError(f"expected an array, found {type(value).__name__}")
