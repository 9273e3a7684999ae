"""Look at the faces of a stretch now and then: whose they are, and how good their pictures are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from talkinghead.face.crop import Array, Picture
from talkinghead.face.quality import face_quality
from talkinghead.face.recognise import SAME_PERSON, FaceRecogniser

EVERY = 10
"""Frames between two that are looked at."""

STRANGERS = 0.2
"""Share of looks at somebody else from which a stretch shows more than one person; less may be hands and blinks."""

SOFTEST, BLOCKIEST, MOST_CLIPPED = 5.0, 2.0, 0.3
"""Bounds of sharpness, blockiness and clipped pixels, see `talkinghead.face.quality`.

Chosen to leave out what is plainly bad: on 35 clips of 256 pixels that were good enough to train on, and 7 raw videos,
sharpness is 6 to 430, blockiness 0.99 to 1.63, and 0 to 16 % of the face is clipped.
"""


@dataclass(frozen=True)
class Looks:
    """What was seen of the faces of a stretch.

    Attributes:
        people: Descriptors of N of its faces, shape (N, 128); none where nobody is recognised.
        quality: Sharpness, blockiness and share of clipped pixels of them, shape (N, 3).
    """

    people: Array
    quality: NDArray[np.float64]

    @property
    def person(self) -> Array | None:
        """The descriptor that is nearest to all others, shape (128,)."""
        return self.people[_distances(self.people).sum(1).argmin()] if len(self.people) else None

    @property
    def usual(self) -> tuple[float, float, float]:
        """Medians of sharpness, blockiness and clipped pixels."""
        sharpness, blockiness, clipped = np.median(self.quality, 0) if len(self.quality) else (np.nan,) * 3
        return float(sharpness), float(blockiness), float(clipped)

    def why_not(self) -> str | None:
        """Say what is wrong; None where nothing is."""
        if self.person is not None:
            strangers = float((np.linalg.norm(self.people - self.person, axis=1) > SAME_PERSON).mean())
            if strangers > STRANGERS:
                return f"shows more than one person: {strangers:.0%} of the looks are at somebody else"
        sharpness, blockiness, clipped = self.usual
        if sharpness < SOFTEST:
            return f"the face is blurred: sharpness {sharpness:.0f}, at least {SOFTEST:.0f} is needed"
        return spoiled(blockiness, clipped)


def spoiled(blockiness: float, clipped: float) -> str | None:
    """Say whether coding or light has spoiled a picture of a face; None where neither has."""
    if blockiness > BLOCKIEST:
        return f"the face shows blocks of coding: {blockiness:.1f}, at most {BLOCKIEST:g}"
    if clipped > MOST_CLIPPED:
        return f"{clipped:.0%} of the face is black or white, at most {MOST_CLIPPED:.0%}"
    return None


class Looker:
    """Looks at faces.

    Args:
        recogniser: Tells people apart; None leaves that out.
    """

    def __init__(self, recogniser: FaceRecogniser | None) -> None:
        self._recogniser = recogniser
        self._people: list[Array] = []
        self._quality: list[list[float]] = []
        self._count = 0

    def look(self, picture: Picture, points: Array) -> None:
        """Look at a face of the stretch, unless it comes too soon after the last one."""
        if self._count % EVERY == 0:
            if self._recogniser is not None:
                self._people.append(self._recogniser.describe(picture, points))
            self._quality.append(list(face_quality(picture, points).values()))
        self._count += 1

    def finish(self) -> Looks:
        """Return what was seen of the stretch, and begin the next one."""
        people = np.stack(self._people) if self._people else np.zeros((0, 128), np.float32)
        looks = Looks(people, np.array(self._quality, float).reshape(-1, 3))
        self._people, self._quality, self._count = [], [], 0
        return looks


def _distances(people: Array) -> Array:
    return np.linalg.norm(people[:, None] - people[None], axis=-1)
