"""What the headers of a video file state."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path


@dataclass(frozen=True)
class VideoFile:
    """A video file and what its headers state.

    Attributes:
        file: Its path.
        fps: Frames per second; for a variable rate the nominal one.
        size: (height, width) of the frames in square pixels.
        num_frames: The estimated number of frames.
        has_sound: Whether there is a sound track.
        begins: Time of the first frame in seconds by the file's clock, which sound and picture share.
    """

    file: Path
    fps: Fraction
    size: tuple[int, int]
    num_frames: int
    has_sound: bool
    begins: Fraction = Fraction(0)
