"""Which files a command reads: none of its outputs may replace them."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from typing import Any

READ_OPTIONS = {"reference", "audio", "keyframes", "camera", "voice", "background", "caption_font"}
"""Options that may name a file to read; `audio`, `camera`, `voice` and `background` may say something else, too."""


def files_read(options: Any, *given: object) -> list[Path]:
    """Return every file that a command reads, and names that only look like one.

    Args:
        options: All options of the command, `Options` or `NarrationOptions`.
        given: Its other inputs; pictures that are arrays are no files.
    """
    paths = [Path(each) for each in given if isinstance(each, str | os.PathLike)]
    for part in fields(options):
        group = getattr(options, part.name)
        names = [getattr(group, option.name) for option in fields(group) if option.name in READ_OPTIONS]
        paths += [Path(str(name).removeprefix("piper:")) for name in names if name]
    return paths
