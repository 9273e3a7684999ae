"""Read a folder of portraits: mouths for the painter to learn from, and a tenth of the people kept back for judging."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from liveportrait import Crop
from talkinghead.dataset.clips import read_manifest
from talkinghead.errors import InputNotFoundError
from talkinghead.face import FaceDetector, make_crop
from talkinghead.media.image import read_image

HELD_OUT = 10
"""One in so many portraits is never trained on."""


VALIDATION = 20
"""One in so many portraits, none of those, chooses among the weights of a training run and is not learned from."""


def is_held_out(name: str) -> bool:
    """Return whether a portrait is kept for judging; it depends on the name alone, so it is the same for ever."""
    return _number_of(name) % HELD_OUT == 0


def is_validation(name: str) -> bool:
    """Return whether a portrait validates a training run."""
    return _number_of(name) % VALIDATION == 1


def _number_of(name: str) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest(), 16)


def read_portraits(folder: Path, *, held_out: bool) -> Iterator[tuple[str, Crop]]:
    """Crop the faces of a folder's portraits, either those that are held out or the others.

    Args:
        folder: Has the portraits and manifest.csv with the columns id and file.
        held_out: Which of them.

    Yields:
        Id and crop of each. Pictures in which no face is found are skipped.

    Raises:
        InputNotFoundError: The folder has no portraits.
    """
    if not (folder / "manifest.csv").is_file():
        raise InputNotFoundError(f"{folder}: no portraits here; give a folder with manifest.csv and the pictures")
    faces = FaceDetector()
    for row in read_manifest(folder):
        if is_held_out(row["id"]) == held_out:
            picture = read_image(folder / row["file"])
            for face in faces.detect(picture)[:1]:
                yield row["id"], make_crop(picture, face.landmarks)[0]
