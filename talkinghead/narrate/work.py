"""The folder that finished parts are kept in, each by the hash of everything that decides what it is."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from talkinghead.media.files import output_error
from talkinghead.narrate.errors import WorkFolderError

VERSION = 1
"""Of the folder's layout, and of what parts are made by; raised whenever either changes."""

_ABOUT = "work.json"
_LOCK = "lock"


class WorkFolder:
    """A context manager: only one narration at a time may use a folder."""

    def __init__(self, folder: Path) -> None:
        """Open a folder, or make it.

        Raises:
            WorkFolderError: It holds something else, or was written by another version.
            OutputError: It cannot be made there.
        """
        self.folder = folder
        if folder.exists() and not folder.is_dir():
            raise WorkFolderError(f"{folder}: this is a file; give --work a folder")
        try:
            folder.mkdir(exist_ok=True)
            _check(folder)
        except FileNotFoundError:
            raise WorkFolderError(f"{folder.parent}: no such folder; make it or give --work another") from None
        except OSError as error:
            if isinstance(error, WorkFolderError):
                raise
            raise output_error(folder, error) from error
        self._lock = FileLock(folder / _LOCK, timeout=0)
        self._used: set[str] = set()

    def __enter__(self) -> WorkFolder:
        try:
            self._lock.acquire()
        except Timeout:
            raise WorkFolderError(f"{self.folder}: another narration is at work there; wait, or give --work") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def file(self, key: str, suffix: str) -> Path:
        """Return where a part belongs; it counts as used."""
        self._used.add(f"{key}{suffix}")
        return self.folder / f"{key}{suffix}"

    def made(self, key: str, suffix: str, make: Callable[[Path], None]) -> Path:
        """Return a part, which is made if it is not there yet, completely or not at all.

        Args:
            key: What decides what it is.
            suffix: Ending of its name.
            make: Writes it into the file that it is given.
        """
        file = self.file(key, suffix)
        if not file.exists():
            partial = file.with_name(f".{secrets.token_hex(8)}{suffix}")
            try:
                make(partial)
                partial.replace(file)
            finally:
                partial.unlink(missing_ok=True)
        return file

    def tidy(self) -> None:
        """Remove the parts that were not used, so that the folder holds one narration however often it changes."""
        for file in self.folder.iterdir():
            if file.name not in {_ABOUT, _LOCK} and file.name not in self._used and file.is_file():
                file.unlink(missing_ok=True)


def key_of(**inputs: Any) -> str:
    """Return a hash of named values: text, numbers, None, and lists and mappings of those."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:32]


def hash_files(files: Iterable[Path]) -> str:
    """Return a hash of what is in some files."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()


def _check(folder: Path) -> None:
    about = folder / _ABOUT
    if not about.exists():
        if any(file.name != _LOCK for file in folder.iterdir()):
            raise WorkFolderError(f"{folder}: holds other things than a narration's parts; give --work an empty folder")
        about.write_text(json.dumps({"talkinghead_narration": VERSION}))
        return
    try:
        found = json.loads(about.read_text()).get("talkinghead_narration")
    except (ValueError, AttributeError):
        found = "unreadable"
    if found != VERSION:
        raise WorkFolderError(
            f"{folder}: was written by another version (its layout is {found}, this one {VERSION}); delete it, "
            "or give --work another folder"
        )
