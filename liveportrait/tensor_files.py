"""Read safetensors that may be damaged or hostile: their header is checked before any tensor takes memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open
from torch import Tensor

MOST_HEADER_BYTES = 1 << 20
"""The largest header of ours has 60 kB; one of 100 MB costs seconds and gigabytes to parse."""

FLOATS = frozenset({"F16", "BF16", "F32", "F64"})


class Entry(NamedTuple):
    """What a header says of a tensor: its type as safetensors names it ("F32"), and its shape."""

    dtype: str
    shape: tuple[int, ...]


def read_tensors(
    path: Path, check: Callable[[Mapping[str, str], Mapping[str, Entry]], None], most_bytes: int
) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Read a file of tensors.

    Args:
        path: The file.
        check: Given the file's metadata and entries before tensors are read; raises to refuse them.
        most_bytes: How large the file may be.

    Returns:
        Its metadata and tensors.

    Raises:
        OSError: It cannot be read.
        SafetensorError: It is too large, cut off, or not of this format.
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
