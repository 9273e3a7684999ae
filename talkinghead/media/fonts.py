"""The font that texts are drawn with."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def default_font() -> Path:
    """Return DejaVu Sans, which comes with Matplotlib and has Latin, Greek, Cyrillic, Arabic, Hebrew and more.

    Matplotlib itself is not imported, because that creates folders in the user's home.
    """
    found = find_spec("matplotlib")
    assert found is not None and found.submodule_search_locations is not None
    return Path(found.submodule_search_locations[0]) / "mpl-data" / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"
