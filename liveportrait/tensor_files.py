"""Read untrusted safetensors: the header is checked before memory is allocated for tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open
from torch import Tensor

MOST_HEADER_BYTES = 1 << 20
"""Our largest header has 60 kB; parsing one of 100 MB takes seconds and gigabytes."""

FLOATS = frozenset({"F16", "BF16", "F32", "F64"})


class Entry(NamedTuple):
    """Header entry of a tensor: its safetensors dtype (such as "F32") and its shape."""

    dtype: str
    shape: tuple[int, ...]


def read_tensors(
    path: Path, check: Callable[[Mapping[str, str], Mapping[str, Entry]], None], most_bytes: int
) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Read a safetensors file.

    Args:
        path: The file.
        check: Called with metadata and entries before tensors are read; raises to refuse them.
        most_bytes: Maximum file size.

    Returns:
        Its metadata and tensors.

    Raises:
        OSError: The file cannot be read.
        SafetensorError: It is too large, truncated, or not a safetensors file.
    """
    _check_sizes(path, most_bytes)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        check(metadata, {name: Entry(each.get_dtype(), tuple(each.get_shape())) for name, each in slices.items()})
        return metadata, {name: file.get_tensor(name) for name in slices}


def _check_sizes(path: Path, most_bytes: int) -> None:
    size = path.stat().st_size
    if size > most_bytes:
        raise SafetensorError(f"{size} bytes are more than the {most_bytes} that such a file may have")
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
    if length > min(size - 8, MOST_HEADER_BYTES):
        raise SafetensorError(f"its header claims {length} bytes of {size}; at most {MOST_HEADER_BYTES} are read")
