"""A list of portraits that may not be animated, which whoever runs a server fills.

It holds no pictures, only 64-bit perceptual hashes: of whole pictures, and of upright faces cut out of them. They
recognize a picture that is on the list, also resized, coded again, or with another crop around the face. They do not
recognize a person in other pictures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import cv2
import numpy as np

from liveportrait.errors import PortraitError
from talkinghead.errors import OptionError
from talkinghead.face import FaceDetector
from talkinghead.face.crop import CropRule, cut, frame_face
from talkinghead.media.files import require_file
from talkinghead.media.image import Picture, limit_size
from talkinghead.media.video import VideoFile, read_frames, read_picture_or_video
from talkinghead.options import StrPath

Kind = Literal["picture", "face"]

MOST_DIFFERENT = {"picture": 8, "face": 10}
"""Bits of 64 in which a hash may differ from one on the list; docs/provenance.md has what was measured."""

_FACE = CropRule(size=64, scale=1.3, vy_ratio=0.0)
_SIDE, _KEPT = 32, 8
_LARGEST = 1280
"""Longer side in pixels of pictures in which faces are searched."""
_FRAMES, _EVERY = 10, 25
"""Number of frames of a video that are looked at, and the distance between them."""

_LINE = re.compile(r"(picture|face)\s+([0-9a-fA-F]{16})(\s.*)?")


class DeniedError(PortraitError, PermissionError):
    """The portrait is on the list of those that may not be animated."""


@dataclass(frozen=True)
class Entry:
    """One line of a list.

    Attributes:
        kind: What was hashed.
        value: The hash, 64 bits.
    """

    kind: Kind
    value: int

    def __str__(self) -> str:
        """Return it as it is written in a list."""
        return f"{self.kind} {self.value:016x}"


class DenyList:
    """The portraits that may not be animated.

    Example:
        >>> from talkinghead import load_models
        >>> from talkinghead.provenance.deny_list import DenyList
        >>> denied = DenyList.read("denied.txt")
        >>> denied.check("portrait.png", load_models().faces)  # raises DeniedError if it is on the list
    """

    def __init__(self, entries: tuple[Entry, ...] = ()) -> None:
        """Take the lines of a list."""
        self._entries = entries

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._entries)

    def __contains__(self, entry: object) -> bool:
        """Return whether an entry is on the list as it is."""
        return entry in self._entries

    @classmethod
    def read(cls, path: StrPath) -> DenyList:
        """Read a list: a line for each entry, with whatever you like after the hash; # begins a comment.

        Raises:
            OptionError: It cannot be read, or a line is something else.
            InputNotFoundError: It does not exist.
        """
        file = require_file(path, OptionError)
        entries = []
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            found = _LINE.fullmatch(text)
            if found is None:
                raise OptionError(f"{file}, line {number}: neither `picture HASH` nor `face HASH`; correct the line")
            entries.append(Entry(found[1], int(found[2], 16)))  # type: ignore[arg-type] — one of the two kinds
        return cls(tuple(entries))

    def check(self, source: StrPath | Picture, faces: FaceDetector) -> None:
        """Check a picture or a video before it is animated.

        Args:
            source: A file, or RGB of shape (H, W, 3), uint8.
            faces: Detects faces; `Models.faces` is one.

        Raises:
            DeniedError: It is on the list.
            PortraitError: It cannot be read.
        """
        if not self._entries:
            return
        for entry in hash_portrait(source, faces):
            if any(_matches(entry, denied) for denied in self._entries):
                raise DeniedError(f"this {entry.kind} may not be animated: it is on this installation's deny list")


def hash_portrait(source: StrPath | Picture, faces: FaceDetector) -> Iterator[Entry]:
    """Yield the hashes of a picture, or of some frames of a video, and of all faces in it.

    Args:
        source: As in `DenyList.check`.
        faces: As in `DenyList.check`.

    Raises:
        PortraitError: It cannot be read.
    """
    for picture in _pictures(source):
        small = limit_size(picture, _LARGEST)
        yield Entry("picture", perceptual_hash(small))
        for face in faces.detect(small):
            yield Entry("face", perceptual_hash(cut(small, frame_face(face.landmarks, _FACE), smooth=True)))


def perceptual_hash(picture: Picture) -> int:
    """Return 64 bits that hardly change when a picture is resized or coded again.

    They tell which of the slowest 64 waves of the discrete cosine transform, without the mean, are above their median.

    Source: C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010, section 3.2.1.
    """
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    small = cv2.resize(gray, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    waves = cv2.dct(small)[1 : _KEPT + 1, 1 : _KEPT + 1].ravel()
    return int("".join("1" if wave > np.median(waves) else "0" for wave in waves), 2)


def _matches(entry: Entry, denied: Entry) -> bool:
    different = (entry.value ^ denied.value).bit_count()
    return entry.kind == denied.kind and different <= MOST_DIFFERENT[entry.kind]


def _pictures(source: StrPath | Picture) -> Iterator[Picture]:
    shown = source if isinstance(source, np.ndarray) else read_picture_or_video(source)
    if isinstance(shown, VideoFile):
        yield from (frame.picture for frame in islice(read_frames(shown.file), 0, _FRAMES * _EVERY, _EVERY))
    else:
        yield shown
