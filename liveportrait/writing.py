"""Write files atomically: to a temporary file in the same folder, which is renamed when it is complete."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_STEM = 32
"""Number of characters of the file name in the temporary name, so that leftovers can be identified."""


@contextmanager
def new_file(file: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary path to write to; rename it to `file` on success, and remove it on an error.

    Args:
        file: Final path.
        replace: Whether to overwrite an existing file.

    Raises:
        FileExistsError: The path exists and may not be replaced.
        OSError: The file cannot be written.
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
    """Write tensors as safetensors, atomically.

    Args:
        tensors: Tensors by name, on the CPU and contiguous.
        file: Final path.
        about: Metadata.
        replace: Whether to overwrite an existing file.

    Raises:
        FileExistsError: The path exists and may not be replaced.
        OSError: The file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with new_file(file, replace=replace) as partial:
        try:
            save_file(tensors, partial, about)
        except SafetensorError as error:  # it contains the OS error code only in its text
            code = re.search(r"os error (\d+)", str(error))
            if code is None:
                raise
            raise OSError(int(code[1]), os.strerror(int(code[1])), str(file)) from error


def partial_name(file: Path) -> str:
    """Return a random temporary name for a file, short enough for any file system.

    It also says which process writes the file: 8 hexadecimal digits for the system, 8 for the process, 16 random ones.
    """
    return f".{_stem(file)}.{_system() or '0' * 8}{os.getpid():08x}{secrets.token_hex(8)}.part"


def remove_leftovers(file: Path) -> None:
    """Remove temporary files that processes left beside an output when they were killed.

    Files of running processes stay, and so do those of other machines, containers and boots, of which nothing is known.
    Nothing is removed on systems without /proc.

    Args:
        file: The output; temporary files of other outputs stay.
    """
    system = _system()
    if system is None:
        return
    partial = re.compile(rf"\.{re.escape(_stem(file))}\.{system}([0-7][0-9a-f]{{7}})[0-9a-f]{{16}}\.part")
    with suppress(OSError):
        for entry in list(os.scandir(file.parent)):
            found = partial.fullmatch(entry.name)
            if found and not _is_running(int(found[1], 16)):
                os.unlink(entry)


def create_beside(file: Path) -> Path:
    """Create an empty file with a random name in the same folder, without opening existing files or following links.

    Raises:
        OSError: The file cannot be created.
    """
    partial = file.with_name(partial_name(file))
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return partial


def put_in_place(partial: Path, file: Path, *, replace: bool = False) -> None:
    """Rename a complete temporary file to its final name.

    Args:
        partial: The temporary file, closed; it may remain as a hard link to the same file.
        file: Final path.
        replace: Whether to overwrite an existing file.

    Raises:
        FileExistsError: The path exists and may not be replaced.
        OSError: The file cannot be renamed, or the disk is full.
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
    """Return whether a path is free or a writable regular file, not a folder, pipe or device."""
    if not file.exists():
        return True
    return file.is_file() and os.access(file, os.W_OK) and bool(file.stat().st_mode & 0o222)


def _stem(file: Path) -> str:
    return re.sub(r"[^\w-]", "_", file.stem[:_STEM])


def _system() -> str | None:
    """Return 8 hexadecimal digits for this boot and the container in which processes are numbered; None if unknown."""
    try:
        boot, numbers = Path("/proc/sys/kernel/random/boot_id").read_text(), os.readlink("/proc/self/ns/pid")
    except OSError:
        return None
    return hashlib.sha256(f"{boot} {numbers}".encode()).hexdigest()[:8]


def _is_running(process: int) -> bool:
    """Return whether a process of this number runs, which may be a later one that got the same number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is another user's
        pass
    return True


def _name_once(partial: Path, file: Path) -> None:
    """Rename a file without replacing an existing one, atomically if the file system supports hard links."""
    try:
        os.link(partial, file)
    except FileExistsError:
        raise
    except OSError:  # no hard links: reserve the name with an empty file, then replace it
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        partial.replace(file)
