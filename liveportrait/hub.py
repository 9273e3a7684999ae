"""Fetch pinned files from a model hub: resumed after an interruption, checked by SHA-256.

`huggingface_hub` does not do this. It compares the length of what it fetches, not the hash, and a download that was
given up begins again from nothing; `tests/liveportrait/test_hub_client.py` shows both, and fails when that changes. It
also prints its errors over several lines, only warns if the disk is full, and takes the addresses and folders that the
environment names when it is imported. Its cache is used where it holds a file already.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from liveportrait.errors import PortraitError, WeightsError, WeightsNotFoundError

Progress = Callable[[str, int, int], None]
Announce = Callable[[], None]
_CHUNK = 1 << 20
_TIMEOUT_SECONDS = 30.0
_TRIES = 5
_TRIES_UNANSWERED = 2
_MOST_BYTES = 4 << 30
"""Of a file whose size is not known."""
_TRANSIENT_STATUS = (408, 425, 429, 500, 502, 503, 504)
_UNKNOWN_STATUS = (401, 404)
"""What the hub answers for repositories that it does not know."""


class _UnknownAddressError(WeightsNotFoundError):
    """The hub does not know a repository."""


@dataclass(frozen=True)
class HubFile:
    """One file of a repository.

    Attributes:
        path: Where it lies in the repository.
        sha256: What it must hash to, or None where no hash is known and the commit alone pins it.
        size: Its bytes, or None where they are not known.
    """

    path: str
    sha256: str | None
    size: int | None


def home() -> Path:
    """Return the hub's cache: HF_HOME, or `huggingface` in the user's cache folder."""
    try:
        if value := os.environ.get("HF_HOME"):
            return Path(value).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "huggingface"
    except RuntimeError:
        raise WeightsNotFoundError("there is no home folder to keep weights in; set HF_HOME to a folder") from None


def endpoint() -> str:
    """Return the hub's address: HF_ENDPOINT, or the public one.

    Raises:
        WeightsNotFoundError: It is no web address.
    """
    address = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    if not address.lower().startswith(("http://", "https://")):
        raise WeightsNotFoundError(f"HF_ENDPOINT is {address!r}; give an address that begins with https://")
    return address.rstrip("/")


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids the network."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def folder(repository: str, revision: str) -> Path:
    """Return where a repository's files are kept, in the repository's own layout."""
    return home() / "talkinghead" / repository.replace("/", "--") / revision


def complete(
    repository: str,
    revision: str,
    files: Sequence[HubFile],
    announce: Callable[[Path, list[HubFile]], None],
    progress: Progress | None,
    former: str | None = None,
) -> Path:
    """Make sure that files are on this machine, whole and unchanged.

    Args:
        repository: "owner/name".
        revision: Commit.
        files: Which.
        announce: Given the folder and what is missing, once the hub has answered and before anything is written; not
            called when nothing is missing. It may raise to refuse.
        progress: Called with a file's name, bytes so far and size.
        former: An earlier name of the repository. Files that were kept under it are used, and a hub that does not know
            the present name is asked for it.

    Returns:
        The folder that holds them.

    Raises:
        WeightsNotFoundError: A file is missing and cannot be fetched.
        WeightsError: What the hub sent is not the pinned file, or it cannot be kept.
    """
    names = [repository, *([former] if former else [])]
    kept = [folder(name, revision) for name in names]
    root, announced = next(filter(os.path.isdir, kept), kept[0]), False
    with _keeping(root):
        missing = [file for file in files if not _is_present(root, file, names, revision)]

        def begin() -> None:
            nonlocal announced
            if not announced:
                announced = True
                announce(root, missing)

        for file in missing:
            _require_online(file)
            urls = [f"{endpoint()}/{name}/resolve/{revision}/{file.path}" for name in names]
            _fetch_known(root / file.path, urls, file, progress, begin)
    return root


def _fetch_known(path: Path, urls: list[str], file: HubFile, progress: Progress | None, begin: Announce) -> None:
    """Fetch one file from the first address that the hub knows; the last one's error counts."""
    for url in urls[:-1]:
        try:
            return _fetch(path, url, file, progress, begin)
        except _UnknownAddressError:
            continue
    return _fetch(path, urls[-1], file, progress, begin)


@contextmanager
def _keeping(place: Path) -> Iterator[None]:
    """Turn what a disk refuses into an error that names the place."""
    try:
        yield
    except PortraitError:
        raise
    except OSError as error:
        raise WeightsError(
            f"{place}: weights cannot be kept there ({error.strerror or error}); set HF_HOME to another folder"
        ) from error


def _is_present(root: Path, file: HubFile, names: list[str], revision: str) -> bool:
    """Whether a file is on this machine, whole; one that the hub's own client fetched is taken over.

    Raises:
        WeightsError: The file is there and is not the pinned one.
    """
    path = root / file.path
    if path.is_file():
        check(path, file)
        return True
    from huggingface_hub import try_to_load_from_cache

    cache = Path(os.environ.get("HF_HUB_CACHE") or home() / "hub").expanduser()
    found = (try_to_load_from_cache(name, file.path, cache, revision) for name in names)
    theirs = next((each for each in found if isinstance(each, str)), None)
    if theirs is None or file.sha256 not in (None, sha256(Path(theirs))):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # A link that leads nowhere any more.
    try:
        path.symlink_to(Path(theirs).resolve())
    except OSError:  # Windows lets only some users make links.
        shutil.copyfile(theirs, path)
    return True


def check(path: Path, file: HubFile) -> None:
    """Compare a file's hash with the pinned one, if there is one.

    Raises:
        WeightsError: They differ.
    """
    found = sha256(path)
    if file.sha256 not in (None, found):
        raise WeightsError(
            f"{path}: SHA-256 is {found}, expected {file.sha256}; the file is damaged or not the official one. "
            "Delete it and run `talkinghead download` again"
        )


def sha256(path: Path) -> str:
    """Hash a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _require_online(file: HubFile) -> None:
    if is_offline():
        raise WeightsNotFoundError(
            f"{file.path} is not on this machine and HF_HUB_OFFLINE forbids fetching it; unset HF_HUB_OFFLINE, "
            "or pass a directory that holds the files"
        )


def _fetch(path: Path, url: str, file: HubFile, progress: Progress | None, begin: Announce) -> None:
    """Fetch one file, going on where an earlier attempt stopped; it gets its name once its hash is right.

    Args:
        path: Where to keep it.
        url: Its address.
        file: Which file.
        progress: Called with the file's name, bytes so far and size.
        begin: Called when the hub has answered, before anything is written.

    Raises:
        WeightsNotFoundError: The hub cannot be reached, has no such file, or keeps breaking off.
        WeightsError: What arrived is not the pinned file; it is thrown away.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with FileLock(part.with_name(part.name + ".lock")):
        if path.is_file():
            return
        _receive(url, part, file, progress, begin)
        try:
            check(part, file)
        except WeightsError as error:
            part.unlink()
            raise WeightsError(f"{url} sent another file than the pinned one: {error}") from error
        part.replace(path)


def _receive(url: str, part: Path, file: HubFile, progress: Progress | None, begin: Announce) -> None:
    """Append to `part` until it is as long as the hub says; failures without any progress are counted."""
    failures, tries = 0, _TRIES_UNANSWERED
    while True:
        have = part.stat().st_size if part.exists() else 0
        try:
            if _append(url, part, have, file, progress, begin):
                return
            reason, tries = "the connection was closed too early", _TRIES
        except PortraitError:
            raise
        except urllib.error.HTTPError as error:
            if have and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                return  # Nothing is left to fetch; the hash tells whether what is there is right.
            if error.code in _UNKNOWN_STATUS:
                raise _UnknownAddressError(
                    str(_unavailable(url, f"the hub answered {error.code} {error.reason}"))
                ) from error
            if error.code not in _TRANSIENT_STATUS:
                raise _unavailable(url, f"the hub answered {error.code} {error.reason}") from error
            reason, tries = f"the hub answered {error.code} {error.reason}", _TRIES
        except ValueError as error:  # an address or a length that is none
            raise _unavailable(url, str(error)) from error
        except (OSError, http.client.HTTPException) as error:
            reason = str(getattr(error, "reason", "") or error or type(error).__name__)
        now = part.stat().st_size if part.exists() else 0
        failures, tries = (0, _TRIES) if now > have else (failures + 1, tries)
        if failures >= tries:
            kept = f"; {now / 1e6:.1f} MB are kept, run it again to go on" if now else ""
            raise _unavailable(url, reason + kept)
        time.sleep(retry_seconds(failures))


def retry_seconds(failures: int) -> float:
    """Return how long to wait after so many failures in a row."""
    return 0.0 if failures == 0 else min(8.0, 0.5 * 2**failures)


def _append(url: str, part: Path, have: int, file: HubFile, progress: Progress | None, begin: Announce) -> bool:
    """Ask for what is missing and write what comes; say whether the file is complete, or longer than it may be."""
    request = urllib.request.Request(url, headers={"User-Agent": "talkinghead"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
        # A server that ignores the range sends the file from its beginning.
        done = have if response.status == http.HTTPStatus.PARTIAL_CONTENT else 0
        length = response.headers.get("Content-Length")
        total = None if length is None else done + int(length)
        if None not in (total, file.size) and total != file.size:
            raise WeightsError(f"{url} has {total} bytes, expected {file.size}; this is not the pinned file")
        begin()
        with _keeping(part):
            stream = part.open("ab" if done else "wb")
        with stream:
            # read1 hands over what has arrived, so an interruption loses nothing.
            while chunk := response.read1(_CHUNK):
                with _keeping(part):
                    stream.write(chunk)
                    stream.flush()
                done += len(chunk)
                if progress is not None:
                    progress(file.path, done, total or file.size or done)
                if done > (file.size or _MOST_BYTES):
                    return True
    return total is None or done >= total


def _unavailable(url: str, reason: str) -> WeightsNotFoundError:
    return WeightsNotFoundError(
        f"cannot fetch {url}: {reason}. Check the network, set HF_ENDPOINT to a mirror, or pass a directory that "
        "holds the files"
    )
