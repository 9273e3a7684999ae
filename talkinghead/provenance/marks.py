"""What is known about a file that is being made: how it shall be marked, and what it was made from."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from liveportrait.hub import sha256
from talkinghead.media.image import Picture
from talkinghead.options import ProvenanceOptions, StrPath

_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATED = f"{_TYPES}trainedAlgorithmicMedia"
"""IPTC's term for media that a trained model made."""
COMPOSITE = f"{_TYPES}compositeWithTrainedAlgorithmicMedia"
"""IPTC's term for media of which a trained model made a part, such as a photograph that was animated."""

_ENDS = 4 << 20
"""Bytes at either end of a file in which its metadata lies."""


@dataclass(frozen=True)
class Marks:
    """How a file is marked, and what it is made from.

    Attributes:
        options: The user's options.
        source: The picture or video that is animated.
        inputs: All files that are read; the source may be among them.
    """

    options: ProvenanceOptions = field(default_factory=ProvenanceOptions)
    source: StrPath | Picture | None = None
    inputs: tuple[Path, ...] = ()

    @cached_property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of every input by its path, the source first; keys and certificates are no inputs."""
        files = [Path(self.source)] if isinstance(self.source, str | os.PathLike) else []
        files += [
            file for file in self.inputs if file not in {Path(self.options.sign_cert), Path(self.options.sign_key)}
        ]
        return {str(file): sha256(file) for file in dict.fromkeys(files) if file.is_file()}  # fonts may be names

    @cached_property
    def source_type(self) -> str:
        """IPTC's digital source type.

        A source of which its own metadata says that it was generated stays generated. All others are photographs,
        paintings or films as far as anybody can tell, of which the face alone is made here.
        """
        if not isinstance(self.source, str | os.PathLike):
            return COMPOSITE
        metadata = _ends_of(Path(self.source))
        return GENERATED if GENERATED.encode() in metadata and COMPOSITE.encode() not in metadata else COMPOSITE

    @cached_property
    def payload(self) -> int:
        """The 64 bits of the watermark: the beginning of the SHA-256 of the source."""
        if isinstance(self.source, str | os.PathLike):
            return int(self.hashes[str(Path(self.source))][:16], 16)
        return int(hashlib.sha256(b"" if self.source is None else self.source.tobytes()).hexdigest()[:16], 16)

    @property
    def in_pictures(self) -> str:
        """Everything that the marks change about the pictures."""
        watermark = f"{self.payload:016x}" if self.options.watermark else "none"
        return f"watermark {watermark}, label {self.options.label!r}"


def _ends_of(file: Path) -> bytes:
    with file.open("rb") as content:
        begin = content.read(_ENDS)
        content.seek(max(file.stat().st_size - _ENDS, len(begin)))
        return begin + content.read()
