"""Name the people of prepared clips by their faces: one person has one name, in whatever folder it is found."""

from __future__ import annotations

import numpy as np

from talkinghead.face.crop import Array
from talkinghead.face.recognise import SAME_PERSON, face_distance

ELSEWHERE = 0.5
"""Distance below which faces of two folders are one person's; stricter than within one, where people are few."""


def name_people(stretches: list[tuple[str, Array | None]]) -> list[str]:
    """Name who is in each stretch.

    The first person of a folder has the folder's name; others that are found in it are called "name 2", "name 3" and so
    on. Whoever is also in an earlier folder keeps the name from there.

    Args:
        stretches: For each stretch the name of its folder (or file) and the descriptor of its face, shape (128,), or
            None where nobody is recognised: then the folder's name is the person's.

    Returns:
        A name for each stretch.
    """
    known: list[tuple[str, str, Array]] = []  # person, folder, descriptor
    names: list[str] = []
    for folder, person in stretches:
        if person is None:
            names.append(folder)
            continue
        name = _find(known, folder, person) or _new_name(folder, {each for each, _, _ in known})
        known.append((name, folder, person))
        names.append(name)
    return names


def _find(known: list[tuple[str, str, Array]], folder: str, person: Array) -> str | None:
    """Return the nearest known person who is near enough."""
    distances = [face_distance(person, other) for _, _, other in known]
    near = [
        distance < (SAME_PERSON if folder == where else ELSEWHERE)
        for distance, (_, where, _) in zip(distances, known, strict=True)
    ]
    if not any(near):
        return None
    return known[int(np.argmin(np.where(near, distances, np.inf)))][0]


def _new_name(folder: str, taken: set[str]) -> str:
    name, number = folder, 1
    while name in taken:
        number += 1
        name = f"{folder} {number}"
    return name
