"""Say what a file shows of its origin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import cv2

from talkinghead.errors import ImageError, OptionError, VideoError
from talkinghead.media.files import require_file
from talkinghead.media.image import is_still, read_image
from talkinghead.media.video import read_frames
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
    """

    file: Path
    manifest: Manifest | None
    watermark: Found | None
    tags: tuple[str, ...]

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
        path: A picture, a video, or any other file.
        trust: PEM file of certificates whose signers are trusted; None to trust nobody, as nobody certifies the keys
            that installations make for themselves.

    Raises:
        PortraitError: A file cannot be read.

    Example:
        >>> import talkinghead
        >>> found = talkinghead.verify("out.mp4")
        >>> found.verdict
        'intact'
    """
    file = require_file(path, OptionError)
    manifest = read_manifest(file, None if trust is None else Path(trust))
    return Verification(file, manifest, find_watermark(_luma(file)), read_tags(file))


def _luma(file: Path) -> Iterator[Plane]:
    """Yield the luma of a picture, or of some frames of a video; nothing for a file that is neither."""
    with suppress(ImageError, VideoError):
        if is_still(file):
            yield cv2.cvtColor(read_image(file), cv2.COLOR_RGB2GRAY)
            return
        for frame in islice(read_frames(file), 0, FRAMES * EVERY, EVERY):
            yield cv2.cvtColor(frame.picture, cv2.COLOR_RGB2GRAY)
