"""What the headers of a video file state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path


@dataclass(frozen=True)
class VideoFile:
    """A video file and what its headers state.

    Attributes:
        file: Its path.
        fps: Frames per second at which it is read; for a variable rate the nominal one.
        size: (height, width) of the frames in square pixels.
        num_frames: The estimated number of frames.
        has_sound: Whether there is a sound track.
        begins: Time of the first frame in seconds by the file's clock, which sound and picture share.
        last_seconds: How long its last frame lasts; None for one frame.
    """

    file: Path
    fps: Fraction
    size: tuple[int, int]
    num_frames: int
    has_sound: bool
    begins: Fraction = Fraction(0)
    last_seconds: Fraction | None = None

    def at_rate(self, fps: Fraction) -> VideoFile:
        """Return the video at another frame rate: frames are repeated or left out, and its length stays."""
        if fps == self.fps:
            return self
        count = max(round(self.num_frames / self.fps * fps), 1)
        return replace(self, fps=fps, num_frames=count, last_seconds=1 / self.fps)
