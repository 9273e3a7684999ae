"""Check the paths of inputs and outputs."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from liveportrait.errors import PortraitError
from liveportrait.writing import is_replaceable, new_file, remove_leftovers
from talkinghead.errors import InputNotFoundError, OutputError, OutputExistsError

_NO_FILES = {
    "folder": stat.S_ISDIR,
    "pipe": stat.S_ISFIFO,
    "socket": stat.S_ISSOCK,
    "device": lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode),
}


def require_file(path: str | os.PathLike[str], wrong: type[PortraitError]) -> Path:
    """Return an input's path after checking that it is a readable regular file that is not empty.

    Args:
        path: The user's path.
        wrong: The error to raise if it is anything else, or the name is invalid.

    Raises:
        InputNotFoundError: The file does not exist.
    """
    file = Path(path)
    if (fault := name_fault(file)) is not None:
        raise wrong(fault)
    try:
        found = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise InputNotFoundError(f"{file}: no such file") from None
    except OSError as error:  # such as a loop of links
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
    """Check that an output can be written, remove what killed runs left beside it, and return its path.

    Args:
        path: The output.
        inputs: Files that it must not replace.
        what: The kind of output in the plural, for messages.
        suffixes: The allowed suffixes, the usual one first.
        overwrite: Whether an existing file may be replaced.

    Raises:
        OutputExistsError: The file exists and may not be replaced.
        OutputError: The name or the folder cannot be used, or it is one of the inputs.
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
    remove_leftovers(file)
    return file


def is_same(file: Path, other: Path) -> bool:
    """Return whether two paths are the same existing file, also through links."""
    try:
        return file.samefile(other)
    except (OSError, ValueError):
        return False


def name_fault(file: Path) -> str | None:
    """Return a message about a path that cannot be looked up, or None."""
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
    """Yield a path to write to, like `liveportrait.writing.new_file`, with one-line error messages.

    Raises:
        OutputError: The file cannot be written, or a file that may not be replaced was created meanwhile.
    """
    try:
        with new_file(file, replace=overwrite) as partial:
            yield partial
    except PortraitError:
        raise
    except OSError as error:
        raise output_error(file, error) from error


def is_full(error: Exception) -> bool:
    """Return whether an error means that the disk or the user's quota is full."""
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


def output_error(file: Path, error: OSError) -> OutputError:
    """Return an error with a message about why a file could not be written."""
    if isinstance(error, FileExistsError):
        return OutputExistsError(f"{file}: something of this name came while it was made, and is kept; choose another")
    if is_full(error):
        return OutputError(f"{file}: the disk is full; make room or choose another folder")
    return OutputError(f"{file}: cannot be written ({error.strerror or error}); choose another place")
