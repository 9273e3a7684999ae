"""The folder in the user's home that keeps the key of this installation."""

from __future__ import annotations

from pathlib import Path

import platformdirs


def data_folder() -> Path:
    """Return the folder, which need not exist; on Linux `~/.local/share/talkinghead`, or below `XDG_DATA_HOME`."""
    return Path(platformdirs.user_data_dir("talkinghead", appauthor=False))
