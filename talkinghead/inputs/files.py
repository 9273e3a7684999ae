"""List the files that a command reads, which its outputs must not replace."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from typing import Any

WRITTEN = {"save_template", "work"}
"""Options that name outputs; all other options that name files name inputs."""


def files_read(options: Any, *given: object) -> list[Path]:
    """Return every file that a command reads.

    Args:
        options: All options of the command, `Options` or `NarrationOptions`.
        given: Its other inputs; arrays are ignored.
    """
    paths = [Path(each) for each in given if isinstance(each, str | os.PathLike)]
    for part in fields(options):
        group = getattr(options, part.name)
        for option in fields(group):
            names_file, value = option.metadata.get("names_file"), getattr(group, option.name)
            if names_file is not None and option.name not in WRITTEN and names_file(value):
                paths.append(Path(value))
    return paths
