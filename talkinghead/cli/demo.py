"""The example input that ships with the package; its origin is in assets/CREDITS.md."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import NamedTuple


class DemoInputs(NamedTuple):
    """A portrait and a voice line to try the program with."""

    portrait: Path
    voice: Path


def demo_inputs() -> DemoInputs:
    """Return where the example portrait (public domain) and voice (synthetic) lie."""
    assets = Path(str(files("talkinghead"))) / "assets"
    return DemoInputs(assets / "portrait.jpg", assets / "voice.flac")
