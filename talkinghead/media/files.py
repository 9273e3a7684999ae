"""Checks on paths that every reader and writer shares."""

from __future__ import annotations

import os
from pathlib import Path

from liveportrait.errors import PortraitError
from talkinghead.errors import InputNotFoundError


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
