"""Checks on paths that every reader and writer shares."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterable
from pathlib import Path

from liveportrait.errors import PortraitError
from talkinghead.errors import InputNotFoundError, OutputError, OutputExistsError


def require_file(path: str | os.PathLike[str], wrong: type[PortraitError]) -> Path:
    """Return an input's path.

    Args:
        path: What the user gave.
        wrong: What to raise for a folder.

    Raises:
        InputNotFoundError: Nothing is there.
    """
    file = Path(path)
    if file.is_dir():
        raise wrong(f"{file}: this is a folder, give a file")
    if not file.exists():
        raise InputNotFoundError(f"{file}: no such file")
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
    if file.exists() and any(given.exists() and file.samefile(given) for given in inputs):
        raise OutputError(f"{file}: this is one of the inputs; choose another name")
    if file.exists() and not overwrite:
        raise OutputExistsError(f"{file}: exists already; choose another name or say --overwrite")
    return file


def output_error(file: Path, error: OSError) -> OutputError:
    """Say why a file could not be written."""
    if error.errno == errno.ENOSPC:
        return OutputError(f"{file}: the disk is full; make room or choose another folder")
    return OutputError(f"{file}: cannot be written ({error.strerror or error}); choose another place")
