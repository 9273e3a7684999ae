"""Say what a file shows of its origin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import cv2

from talkinghead.errors import AudioError, ImageError, OptionError, VideoError
from talkinghead.media.container import find_video
from talkinghead.media.decode import open_sound
from talkinghead.media.files import require_file
from talkinghead.media.image import Picture, read_animation
from talkinghead.media.picture_formats import is_animation
from talkinghead.media.video import VideoFile, read_frames, read_picture_or_video
from talkinghead.options import StrPath
from talkinghead.provenance.detection import Found, find_watermark
from talkinghead.provenance.manifest import Manifest, read_manifest
from talkinghead.provenance.marks import COMPOSITE, GENERATED
from talkinghead.provenance.pattern import Plane
from talkinghead.provenance.tags import read_tags

FRAMES, EVERY = 200, 2
"""Number of frames in which the watermark of a video is searched, and the distance between them."""

Verdict = Literal["intact", "nothing", "changed", "unsigned"]
"""What was found, see `Verification.verdict`."""


@dataclass(frozen=True)
class Verification:
    """What a file shows of its origin.

    Attributes:
        file: Its path.
        manifest: Its C2PA manifest, or None.
        watermark: The watermark in its pictures, or None.
        tags: Plain tags that say that it is generated.
        unsearched: Why no watermark was searched, or None if one was.
    """

    file: Path
    manifest: Manifest | None
    watermark: Found | None
    tags: tuple[str, ...]
    unsearched: str | None = None

    @property
    def verdict(self) -> Verdict:
        """The finding in a word.

        "intact": a manifest says that the file is generated, and the file is as it was signed. "changed": the manifest
        is broken, or does not fit the file. "unsigned": no manifest says that it is generated, but something that is
        easier to copy or to lose does. "nothing": nothing says so, which does not mean that it was filmed.
        """
        if self.manifest is not None and not self.manifest.is_intact:
            return "changed"
        if self.manifest is not None and {GENERATED, COMPOSITE} & {*self.manifest.source_types}:
            return "intact"
        return "unsigned" if self.tags or self.watermark else "nothing"


def verify(path: StrPath, *, trust: StrPath | None = None) -> Verification:
    """Say what a file shows of its origin; nothing is fetched for it.

    Args:
        path: A picture, a video or a sound; of other files, one with a manifest.
        trust: PEM file of certificates whose signers are trusted; None to trust nobody, as nobody certifies the keys
            that installations make for themselves.

    Raises:
        PortraitError: A file cannot be read: no pictures, and no mark either.

    Example:
        >>> import talkinghead
        >>> found = talkinghead.verify("out.mp4")
        >>> found.verdict
        'intact'
    """
    file = require_file(path, OptionError)
    manifest = read_manifest(file, None if trust is None else Path(trust))
    tags = read_tags(file)
    try:
        return Verification(file, manifest, find_watermark(_luma(file)), tags)
    except (ImageError, VideoError) as error:
        is_sound = _is_sound(file)
        if manifest is None and not tags and not is_sound:
            raise
        return Verification(file, manifest, None, tags, "a sound has no pictures" if is_sound else str(error))


def _luma(file: Path) -> Iterator[Plane]:
    """Yield the luma of a picture, or of some frames of a video."""
    for picture in islice(_pictures(file), 0, FRAMES * EVERY, EVERY):
        yield cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def _pictures(file: Path) -> Iterator[Picture]:
    if is_animation(file):  # FFmpeg does not decode all kinds
        return read_animation(file)
    shown = read_picture_or_video(file)
    return (frame.picture for frame in read_frames(file)) if isinstance(shown, VideoFile) else iter([shown])


def _is_sound(file: Path) -> bool:
    """Return whether a file is a sound, which has no pictures."""
    try:
        with open_sound(file) as (container, _):
            return find_video(container) is None
    except AudioError:
        return False
