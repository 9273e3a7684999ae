"""Read settings, safetensors and archives of a weights folder; they are checked before memory is allocated."""

from __future__ import annotations

import json
import os
import re
import types
import typing
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from liveportrait.errors import PortraitError, WeightsError
from liveportrait.imports import meta_device, quiet_imports
from liveportrait.tensor_files import FLOATS, Entry, read_tensors

_MOST_CONFIG_BYTES, _MOST_BYTES = 1 << 20, 4 << 30
_MOST_SIZE, _MOST_PARTS = 8192, 64
# Settings that count modules, each of which takes time to build, and those with limits of their own: frames, pixels.
_MODULES = {"num_layers", "num_down", "num_residual", "num_blocks", "num_middle", "depths"}
_MODULES |= {"mouth_blocks", "eye_blocks"}
_RANDOM = {"normal_", "uniform_", "trunc_normal_"}
_RANDOM |= {"kaiming_uniform_", "kaiming_normal_", "xavier_uniform_", "xavier_normal_"}
_LIMITS = {"num_life_frames": 1 << 24, "num_life_clips": 1 << 16, "num_frames": 2000, "num_previous": 2000}
_LIMITS |= {"mouth_size": 512, "painted_size": 1024, "num_teeth": 64, "num_up": 6}
_RANGES = {"crop_scale": (1, 5)}  # of fractions; others are shares

Sizes = TypeVar("Sizes")
Network = TypeVar("Network", bound=nn.Module)


def read_settings(path: Path) -> dict[str, Any]:
    """Read an object from a JSON file.

    Raises:
        WeightsError: It is not a JSON object, too large, or not readable.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(_MOST_CONFIG_BYTES + 1)
        settings = json.loads(content.decode()) if len(content) <= _MOST_CONFIG_BYTES else None
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: not readable as JSON ({_reason(error)}); fetch it again") from error
    if not isinstance(settings, dict):
        raise WeightsError(f"{path}: expected an object, found {type(settings).__name__}; fetch it again")
    return settings


def read_sizes(kind: type[Sizes], values: object, path: Path) -> Sizes:
    """Convert settings to a config of network sizes; missing settings keep their defaults.

    Args:
        kind: A dataclass of integers, tuples of them, shares, booleans, strings and such dataclasses.
        values: Content of the file.
        path: The file, for messages.

    Raises:
        WeightsError: A setting is unknown, of another type, or out of range.
    """
    if not isinstance(values, dict):
        raise WeightsError(f"{path}: expected settings by name, found {type(values).__name__}")
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := set(values) - known:
        raise WeightsError(f"{path}: unknown setting {min(unknown)[:40]!r}; fetch it again, or upgrade talkinghead")
    hints = typing.get_type_hints(kind)
    return kind(**{name: _read_size(name, hints[name], value, path) for name, value in values.items()})


def _read_size(name: str, hint: Any, value: Any, path: Path) -> Any:
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        hint = next(each for each in typing.get_args(hint) if each is not types.NoneType)
    if is_dataclass(hint):
        return read_sizes(typing.cast(type, hint), value, path)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list | tuple) or not 1 <= len(value) <= _MOST_PARTS:
            raise WeightsError(f"{path}: {name} is {repr(value)[:40]}, expected 1 to {_MOST_PARTS} whole numbers")
        return tuple(_read_size(name, int, each, path) for each in value)
    if hint is float:
        least, end = _RANGES.get(name, (0, 1))
        if isinstance(value, int | float) and not isinstance(value, bool) and least <= value < end:
            return float(value)
        raise WeightsError(f"{path}: {name} is {repr(value)[:40]}, expected a number from {least} to below {end}")
    if hint is int:
        most = _LIMITS.get(name, _MOST_PARTS if name in _MODULES else _MOST_SIZE)
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most:
            return value
        raise WeightsError(f"{path}: {name} is {repr(value)[:40]}, expected a whole number from 1 to {most}")
    if not isinstance(value, hint):
        raise WeightsError(f"{path}: {name} is {repr(value)[:40]}, expected {hint.__name__}")
    return value


def shapes_of(build: Callable[[], nn.Module], path: Path) -> dict[str, Tensor]:
    """Return the state of a network on the meta device, with which weights can be compared.

    Args:
        build: Builds the network.
        path: The file of its sizes, for messages.

    Raises:
        WeightsError: The sizes are inconsistent.
    """
    return empty_network(build, path, plain=False).state_dict()


def empty_network(build: Callable[[], Network], path: Path, *, plain: bool = True) -> Network:
    """Build a network on the meta device, to be filled by `load_state_dict(assign=True)`.

    Args:
        build: Builds the network.
        path: The file of its sizes, for messages.
        plain: Whether building computes nothing but random weights. It is then done without PyTorch's compiler, whose
            import takes seconds.

    Raises:
        WeightsError: The sizes are inconsistent.
    """
    try:
        if plain:
            suppressed = suppress(RuntimeError, AttributeError, ImportError)
            with suppressed, quiet_imports(), torch.device("meta"), _NothingComputed():
                return build()
        with meta_device():
            return build()
    except PortraitError:
        raise
    # Inconsistent sizes can cause any exception.
    except Exception as error:
        raise WeightsError(f"{path}: its sizes make no network ({_reason(error)}); fetch it again") from error


class _NothingComputed(TorchFunctionMode):
    """Skip the calls for whose results on the meta device PyTorch imports its compiler."""

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in _RANDOM:
            return args[0] if args else kwargs["tensor"]
        if name == "norm_except_dim":  # of a weight norm
            weight, _, dim = args
            return weight.new_empty([size if axis == dim else 1 for axis, size in enumerate(weight.shape)])
        return func(*args, **(kwargs or {}))


def read_weights(path: Path, state: Mapping[str, Tensor], optional: Iterable[str] = ()) -> dict[str, Tensor]:
    """Read a network's weights, strictly.

    Args:
        path: A safetensors file.
        state: From `shapes_of`: required names, shapes and dtypes.
        optional: Names that may be missing.

    Returns:
        Tensors by name, with floating-point ones in float32.

    Raises:
        WeightsError: The file is unreadable, has missing or unknown keys, wrong shapes, or non-finite values.
    """

    def check(_: Mapping[str, str], entries: Mapping[str, Entry]) -> None:
        _compare(entries, state, set(optional), path)

    try:
        _, tensors = read_tensors(path, check, _MOST_BYTES)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: not readable as safetensors ({_reason(error)}); fetch it again") from error
    require_finite(tensors, path)
    return {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}


def _compare(entries: Mapping[str, Entry], state: Mapping[str, Tensor], optional: set[str], path: Path) -> None:
    for name, own in state.items():
        entry = entries.get(name)
        if entry is None:
            if name in optional:
                continue
            raise WeightsError(f"{path}: key {name!r} is missing; fetch it again")
        if entry.shape != tuple(own.shape):
            found, expected = str(entry.shape)[:60], tuple(own.shape)
            raise WeightsError(f"{path}: key {name!r} has shape {found}, config.json says {expected}")
        if (entry.dtype in FLOATS) != own.is_floating_point():
            raise WeightsError(f"{path}: key {name!r} is of type {entry.dtype}, expected {own.dtype}")
    if unknown := set(entries) - set(state):
        raise WeightsError(f"{path}: key {min(unknown)[:60]!r} does not belong to this network")


def read_archive(path: Path, admitted: Sequence[Any] = ()) -> dict[str, Any]:
    """Read a dictionary saved by PyTorch in weights-only mode: tensors and plain containers, never code.

    Args:
        path: The file.
        admitted: Further allowed classes, as for `torch.serialization.safe_globals`.

    Raises:
        WeightsError: It is damaged, holds something else, or is larger than the file when loaded.
    """
    try:
        size = path.stat().st_size
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                _require_room(sum(entry.file_size for entry in archive.infolist()), size, path)
        with torch.serialization.safe_globals(list(admitted)):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    # torch raises Python's file and pickle errors, and RuntimeError for a broken archive.
    except Exception as error:
        name = re.search(r"GLOBAL ([\w.]{1,60})", str(error))
        reason = f"it asks for {name[1]}" if name else _reason(error)
        raise WeightsError(f"{path}: not readable as weights ({reason}); fetch the file again") from error
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        found = type(content).__name__
        raise WeightsError(f"{path}: expected a dictionary of tensors, found {found}; fetch the file again")
    for values in (content, *(value for value in content.values() if isinstance(value, dict))):
        for value in values.values():
            if isinstance(value, Tensor):
                _require_room(value.numel() * value.element_size(), size, path)
    return content


def _require_room(unfolded: int, size: int, path: Path) -> None:
    if unfolded > size:
        raise WeightsError(f"{path}: unfolds to {unfolded} bytes, the file has {size}; fetch the file again")


def require_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Check that all weights are finite.

    Raises:
        WeightsError: Some weights are not finite.
    """
    for name, value in tensors.items():
        if not bool(value.isfinite().all()):
            raise WeightsError(f"{path}: key {name!r} holds values that are not finite numbers; fetch it again")


def is_file(path: Path) -> bool:
    """Return whether a path is an accessible file; False if its name is too long or access is denied."""
    return os.path.isfile(path)


def _reason(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1].strip()[:120] if lines else type(error).__name__
