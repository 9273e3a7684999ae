"""The examples that ship with the studio; their origin is in assets/CREDITS.md."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

ASSETS = Path(str(files("talkinghead"))) / "assets"


def example(name: str) -> Path:
    """Return where an example lies."""
    return ASSETS / name
