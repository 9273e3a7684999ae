"""The work folder, which keeps finished parts under the hash of everything that determines their content.

Its record, `work.json`, has one line for each event: first the version of the folder's layout, then each part that was
started, and each part that was finished with its length and hash. Lines are only appended, so a killed run loses one
part at most. A part is used only if it matches the record, and only files named in the record are deleted.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from liveportrait.errors import PortraitError
from talkinghead.media.files import name_fault, new_output, output_error
from talkinghead.narration.errors import WorkFolderError

VERSION = 2
"""Version of the folder's layout and of the way parts are made; increased when either changes."""

_ABOUT = "work.json"
_LOCK = "lock"
_OF_SYSTEMS = {".DS_Store", "Thumbs.db", "desktop.ini"}
"""Files that file managers create in folders."""

_PART = re.compile(r"[0-9a-f]{32}\.(wav|mp4|webm|mov)")
_UNFINISHED = re.compile(r"\.([0-9a-f]{32})\.[0-9a-f]{16,32}\.(part|wav)")
"""Names of partial files by `liveportrait.writing`, and of the sound files of speech engines beside them."""


class _Content(NamedTuple):
    """The content of a part: its length in bytes and its SHA-256."""

    size: int
    sha256: str


class WorkFolder:
    """A work folder. It is a context manager; only one narration at a time can use a folder."""

    def __init__(self, folder: Path, apart: Iterable[Path] = ()) -> None:
        """Choose a folder.

        Args:
            folder: The folder, which need not exist.
            apart: Inputs and outputs of the narration, which must not lie in the folder.

        Raises:
            WorkFolderError: The name cannot be used, or a file lies in the folder that must not.
        """
        if (fault := name_fault(folder)) is not None:
            raise WorkFolderError(f"{fault}; give --work a folder")
        if folder.exists() and not folder.is_dir():
            raise WorkFolderError(f"{folder}: this is a file; give --work a folder")
        inside = next((path for path in apart if path.resolve().is_relative_to(folder.resolve())), None)
        if inside is not None:
            raise WorkFolderError(f"{folder}: {inside.name} lies there and is no part; give --work another folder")
        self.folder = folder
        self._lock = FileLock(folder / _LOCK, timeout=0)
        self._record: dict[str, _Content | None] = {}
        self._used: set[str] = set()
        self._is_own = self._is_new = False

    def __enter__(self) -> WorkFolder:
        """Open the folder, or create it.

        Raises:
            WorkFolderError: The folder has other content, is in use, or was written by another version.
            OutputError: The folder cannot be created or written to.
        """
        self._is_own = _make(self.folder)
        try:
            with _folder_errors(self.folder):
                self._check_names()
                self._read_record()  # before anything is written there, and again with the lock held
                self._lock.acquire()
                self._begin(*self._read_record())
        except Timeout:
            raise WorkFolderError(f"{self.folder}: another narration uses this folder; wait, or give --work") from None
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def file(self, key: str, suffix: str) -> Path:
        """Return the path of a part, and mark it as used."""
        self._used.add(f"{key}{suffix}")
        return self.folder / f"{key}{suffix}"

    def has(self, file: Path) -> bool:
        """Return whether a part exists and is unchanged."""
        try:
            return self._record.get(file.name) == _content_of(file)
        except OSError:
            return False

    @contextmanager
    def making(self, file: Path) -> Iterator[None]:
        """Record that a part is started and, if there is no error, that it is finished."""
        self._add({"begun": file.name})
        self._record[file.name] = None
        yield
        with _folder_errors(self.folder):
            content = _content_of(file)
        self._add({"made": file.name, **content._asdict()})
        self._record[file.name] = content

    def made(self, key: str, suffix: str, make: Callable[[Path], None]) -> Path:
        """Return a part, and make it first if it is missing; on failure leave no file.

        Args:
            key: Its hash from `key_of`.
            suffix: The suffix of its file name.
            make: Writes it to the given file.

        Raises:
            OutputError: The part cannot be written.
        """
        file = self.file(key, suffix)
        if not self.has(file):
            with self.making(file), new_output(file, overwrite=True) as partial:
                make(partial)
        return file

    def tidy(self) -> None:
        """Remove the parts that were not used, so that the folder only keeps the current narration."""
        with _folder_errors(self.folder):
            for name in set(self._record) - self._used:
                (self.folder / name).unlink(missing_ok=True)

    def _check_names(self) -> None:
        """Check that the folder has only regular files with names that a narration writes."""
        for entry in self.folder.iterdir():
            known = entry.name in {_ABOUT, _LOCK, *_OF_SYSTEMS} or _is_part(entry.name)
            if not known or not stat.S_ISREG(entry.lstat().st_mode):
                raise WorkFolderError(
                    f"{self.folder}: has other files than a narration's parts ({entry.name}); give --work an empty "
                    "folder"
                )

    def _read_record(self) -> tuple[str, bool]:
        """Return the text of the record, and whether it is missing or unreadable.

        Raises:
            WorkFolderError: It is from another version, or something else.
        """
        about = self.folder / _ABOUT
        text = about.read_text(encoding="utf-8", errors="replace") if about.exists() else ""
        found = _parse(text.partition("\n")[0]).get("talkinghead_narration", "unreadable")
        is_lost = found == "unreadable" and (not text.strip() or any(map(_is_part, _names(self.folder))))
        if not is_lost and found != VERSION:
            raise WorkFolderError(
                f"{self.folder}: was written by another version (its layout is {found}, this one {VERSION}); delete "
                "it, or give --work another folder"
            )
        return text, is_lost

    def _begin(self, text: str, is_lost: bool) -> None:
        """Load the parts of earlier runs and remove partial files of killed ones; or start a new record."""
        self._is_new = is_lost
        if is_lost:
            (self.folder / _ABOUT).write_text("")
            self._add({"talkinghead_narration": VERSION})
            return
        self._record = dict(filter(None, (_part_of(_parse(line)) for line in text.splitlines())))
        if not text.endswith("\n"):
            self._write("\n")  # completes the last line of a killed run
        for name in _names(self.folder):
            unfinished = _UNFINISHED.fullmatch(name)
            if unfinished and any(part.startswith(unfinished[1]) for part in self._record):
                (self.folder / name).unlink()

    def _add(self, event: dict[str, Any]) -> None:
        with _folder_errors(self.folder):
            self._write(json.dumps(event) + "\n")

    def _write(self, line: str) -> None:
        with (self.folder / _ABOUT).open("a", encoding="utf-8") as about:
            about.write(line)

    def _leave(self) -> None:
        """Release the folder, and remove it if this run created it and made no parts."""
        if self._is_new and not any(self._record.values()):
            (self.folder / _ABOUT).unlink(missing_ok=True)
            with suppress(OSError):  # open files cannot be removed on some systems
                (self.folder / _LOCK).unlink()
        self._lock.release()
        if self._is_own:
            with suppress(OSError):  # it has parts
                self.folder.rmdir()


def key_of(**inputs: Any) -> str:
    """Return a hash of named values: text, numbers, None, and lists and mappings of those."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:32]


def hash_files(files: Iterable[Path]) -> str:
    """Return a hash of the contents of files."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()


def _make(folder: Path) -> bool:
    """Create a folder and return whether it was missing."""
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    except FileNotFoundError:
        raise WorkFolderError(f"{folder.parent}: no such folder; make it or give --work another") from None
    except OSError as error:
        raise output_error(folder, error) from error
    return True


@contextmanager
def _folder_errors(folder: Path) -> Iterator[None]:
    """Turn system errors into one-line messages about the folder."""
    try:
        yield
    except (PortraitError, Timeout):
        raise
    except OSError as error:
        raise output_error(folder, error) from error


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


def _is_part(name: str) -> bool:
    """Return whether a name is that of a finished or partial part."""
    return bool(_PART.fullmatch(name) or _UNFINISHED.fullmatch(name))


def _content_of(file: Path) -> _Content:
    return _Content(file.stat().st_size, hash_files([file]))


def _parse(line: str) -> dict[str, Any]:
    """Parse a line of the record; a damaged one is empty."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def _part_of(event: dict[str, Any]) -> tuple[str, _Content | None] | None:
    """Return the part of an event, with its content if it is finished."""
    name = event.get("made", event.get("begun"))
    if not isinstance(name, str) or not _PART.fullmatch(name):
        return None
    return name, _Content(event.get("size", 0), event.get("sha256", "")) if "made" in event else None
