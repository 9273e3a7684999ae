"""Which files FFmpeg opened for reading."""

from pathlib import Path

import av


def record_openings(monkeypatch):
    """Return a list to which the name of every file is added when it is opened for reading."""
    names, opened = [], av.open

    def recorded(file, mode="r", *args, **kwargs):
        if mode == "r":
            names.append(Path(str(file).removeprefix("file:")).name)
        return opened(file, mode, *args, **kwargs)

    monkeypatch.setattr(av, "open", recorded)
    return names
