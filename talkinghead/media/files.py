"""Checks on paths that every reader and writer shares."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from liveportrait.errors import PortraitError
from liveportrait.writing import is_replaceable, new_file
from talkinghead.errors import InputNotFoundError, OutputError, OutputExistsError

_NO_FILES = {
    "folder": stat.S_ISDIR,
    "pipe": stat.S_ISFIFO,
    "socket": stat.S_ISSOCK,
    "device": lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode),
}


def require_file(path: str | os.PathLike[str], wrong: type[PortraitError]) -> Path:
    """Return an input's path, once it is sure that there is something to read and an end to it.

    Args:
        path: What the user gave.
        wrong: What to raise for a folder, a pipe, a device, an empty file, one that may not be read, or a name that no
            file can have.

    Raises:
        InputNotFoundError: Nothing is there.
    """
    file = Path(path)
    if (fault := name_fault(file)) is not None:
        raise wrong(fault)
    try:
        found = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise InputNotFoundError(f"{file}: no such file") from None
    except OSError as error:  # such as links in a circle
        raise wrong(f"{file}: cannot be opened ({error.strerror}); give another file") from None
    kind = next((name for name, is_kind in _NO_FILES.items() if is_kind(found.st_mode)), None)
    if kind is not None:
        raise wrong(f"{file}: this is a {kind}, give a file")
    if not found.st_size:
        raise wrong(f"{file}: the file is empty")
    if not os.access(file, os.R_OK):
        raise wrong(f"{file}: may not be read; check its permissions")
    return file


def check_output(
    path: str | os.PathLike[str],
    inputs: Iterable[Path] = (),
    *,
    overwrite: bool,
    what: str = "videos",
    suffixes: Collection[str] = (".mp4",),
) -> Path:
    """Refuse at once what could not be written in the end.

    Args:
        path: Where something shall be written.
        inputs: Files that it must not replace.
        what: What shall be written, in the plural.
        suffixes: Endings that its name may have, the usual one first.
        overwrite: Whether another file there may be replaced.

    Raises:
        OutputExistsError: A file is there and may not be replaced.
        OutputError: The name or the folder does not do, or it is one of the inputs.
    """
    file, usual = Path(path), next(iter(suffixes))
    folder = file.parent
    if (fault := name_fault(file)) is not None:
        raise OutputError(fault)
    if file.is_dir():
        raise OutputError(f"{file}: this is a folder, give a file name such as {file / f'out{usual}'}")
    if file.suffix.lower() not in suffixes:
        raise OutputError(
            f"{file}: {what} are written as {usual[1:]}, give a name that ends in {' or '.join(suffixes)}"
        )
    if not folder.is_dir():
        raise OutputError(f"{folder}: no such folder; make it or choose another")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{folder}: the folder may not be written to; choose another")
    if any(is_same(file, given) for given in inputs):
        raise OutputError(f"{file}: this is one of the inputs; choose another name")
    if os.path.lexists(file) and not overwrite:
        raise OutputExistsError(f"{file}: exists already; choose another name or say --overwrite")
    if not is_replaceable(file):
        raise OutputExistsError(f"{file}: is read-only or no plain file, so it is not replaced; choose another name")
    return file


def is_same(file: Path, other: Path) -> bool:
    """Whether two paths lead to the same file, whatever links there are; not if one of them leads nowhere."""
    try:
        return file.samefile(other)
    except (OSError, ValueError):
        return False


def name_fault(file: Path) -> str | None:
    """Say what is wrong with a path that no file system can look up."""
    try:
        file.lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            name = str(file)
            return f"{name[:40]}…{name[-40:]}: the name is too long; a name has at most 255 bytes, a path 4,095"
        if error.errno in {errno.EACCES, errno.ELOOP}:
            return f"{file}: cannot be reached ({error.strerror}); check the folders that lead to it"
    except ValueError:
        return f"{str(file)!r}: a name may not hold a zero byte; choose another"
    return None


@contextmanager
def new_output(file: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a path to write to, see `liveportrait.writing.new_file`; what goes wrong is said in one line.

    Raises:
        OutputError: It cannot be written there, or something is there by now that may not be replaced.
    """
    try:
        with new_file(file, replace=overwrite) as partial:
            yield partial
    except PortraitError:
        raise
    except OSError as error:
        raise output_error(file, error) from error


def is_full(error: Exception) -> bool:
    """Whether an error says that there is no room left, on the disk or in a user's share of it."""
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


def output_error(file: Path, error: OSError) -> OutputError:
    """Say why a file could not be written."""
    if isinstance(error, FileExistsError):
        return OutputExistsError(f"{file}: something of this name came while it was made, and is kept; choose another")
    if is_full(error):
        return OutputError(f"{file}: the disk is full; make room or choose another folder")
    return OutputError(f"{file}: cannot be written ({error.strerror or error}); choose another place")
