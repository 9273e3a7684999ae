"""Write files complete or not at all: under a random name beside their place, and named when they are complete."""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_STEM = 32
"""How many characters of its name a file keeps while it is written, so that leftovers of a kill can be told."""


@contextmanager
def new_file(file: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a path to write to; without an error the file gets its name at the end, otherwise nothing is left.

    Args:
        file: Where the file shall be.
        replace: Whether another file there may be replaced.

    Raises:
        FileExistsError: Something is there that may not be replaced.
        OSError: It cannot be written there.
    """
    partial = create_beside(file)
    try:
        yield partial
        put_in_place(partial, file, replace=replace)
    finally:
        partial.unlink(missing_ok=True)


def save_tensors(
    tensors: dict[str, Tensor], file: Path, about: dict[str, str] | None = None, *, replace: bool = False
) -> None:
    """Write tensors as safetensors, complete or not at all.

    Args:
        tensors: By name, on the CPU and contiguous.
        file: Where the file shall be.
        about: What the file says about itself.
        replace: Whether another file there may be replaced.

    Raises:
        FileExistsError: Something is there that may not be replaced.
        OSError: It cannot be written there.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with new_file(file, replace=replace) as partial:
        try:
            save_file(tensors, partial, about)
        except SafetensorError as error:  # it tells the system's answer in its text alone
            code = re.search(r"os error (\d+)", str(error))
            if code is None:
                raise
            raise OSError(int(code[1]), os.strerror(int(code[1])), str(file)) from error


def partial_name(file: Path) -> str:
    """Return a random name, never longer than file systems allow, for a file while it is written."""
    stem = re.sub(r"[^\w-]", "_", file.stem[:_STEM])
    return f".{stem}.{secrets.token_hex(8)}.part"


def create_beside(file: Path) -> Path:
    """Create an empty file of a random name in the same folder; nothing that is there already is opened or followed.

    Raises:
        OSError: It cannot be created.
    """
    partial = file.with_name(partial_name(file))
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return partial


def put_in_place(partial: Path, file: Path, *, replace: bool = False) -> None:
    """Give a complete file its name.

    Args:
        partial: The file, closed; it may be left behind as a second name of the same file.
        file: Its name.
        replace: Whether another file there may be replaced.

    Raises:
        FileExistsError: Something is there that may not be replaced.
        OSError: The name cannot be given, or the disk is full.
    """
    with partial.open("rb+") as written:
        os.fsync(written.fileno())
    if not replace:
        _name_once(partial, file)
    elif is_replaceable(file):
        partial.replace(file)
    else:
        raise FileExistsError(errno.EEXIST, "may not be replaced", str(file))


def is_replaceable(file: Path) -> bool:
    """Whether a name is free, or is that of a plain file that may be written to: no folder, pipe or device."""
    if not file.exists():
        return True
    return file.is_file() and os.access(file, os.W_OK) and bool(file.stat().st_mode & 0o222)


def _name_once(partial: Path, file: Path) -> None:
    """Give a file a name that nothing has yet, in one step if the file system can."""
    try:
        os.link(partial, file)
    except FileExistsError:
        raise
    except OSError:  # no links here: take the name with an empty file, then put ours in its place
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        partial.replace(file)
