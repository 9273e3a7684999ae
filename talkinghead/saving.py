"""Render a video into its file, and describe what was written."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from talkinghead.media.copying import plan_copy
from talkinghead.media.formats import PLAIN
from talkinghead.media.image import PICTURE_SUFFIXES, Picture
from talkinghead.media.progress import RENDERING, Progress
from talkinghead.media.video import VideoWriter
from talkinghead.options import RenderOptions
from talkinghead.pipeline import Video
from talkinghead.provenance.marks import Marks
from talkinghead.provenance.pictures import write_picture


@dataclass(frozen=True)
class Summary:
    """A description of the file that was written.

    Attributes:
        file: Its path.
        frames: The number of frames.
        seconds: Its duration.
        fps: Frames per second.
        width: Width of the pictures in pixels.
        height: Height of the pictures in pixels.
        elapsed_seconds: How long rendering and writing took, without loading the models.
        notes: Remarks about the inputs.
    """

    file: Path
    frames: int
    seconds: float
    fps: Fraction
    width: int
    height: int
    elapsed_seconds: float
    notes: tuple[str, ...] = ()

    @property
    def frames_per_second(self) -> float:
        """Rendering speed."""
        return self.frames / self.elapsed_seconds


def save(
    video: Video, file: Path, render: RenderOptions, marks: Marks, progress: Progress, *, still: bool = False
) -> Summary:
    """Render a video and write it with its sound and with the marks of its origin.

    Args:
        video: The video.
        file: The file to write; its suffix decides on the format.
        render: The quality, and whether an existing file may be replaced.
        marks: How the file is marked.
        progress: Wraps the pictures.
        still: Whether a picture file is a picture, the first frame, and not an animation.
    """
    height, width = video.size
    begun = time.perf_counter()
    suffix = file.suffix.lower()
    if suffix in PICTURE_SUFFIXES and (still or suffix not in PLAIN):
        write_picture(next(iter(video)), file, marks, overwrite=render.overwrite)
        return Summary(file, 1, 0.0, video.fps, width, height, time.perf_counter() - begun, video.notes)
    shape, sound, kind, overwrite = (height, width), video.sound, PLAIN[suffix], render.overwrite
    if kind.max_fps and video.fps > kind.max_fps:
        video = _thin_out(video, Fraction(kind.max_fps), f"{file}: {suffix} files")
    plan, remarks = plan_copy(video.changes, shape, video.fps, sound, kind, marks)
    with VideoWriter(
        file, video.fps, shape, sound, render.crf, kind, overwrite=overwrite, marks=marks, plan=plan
    ) as writer:
        count = 0
        for count, picture in enumerate(progress(video, len(video), RENDERING), 1):  # noqa: B007
            writer.write(picture)
    took = time.perf_counter() - begun
    if sound and not kind.sound:
        remarks = (*remarks, f"{file}: {suffix} files have no sound")
    return Summary(file, count, float(count / video.fps), video.fps, width, height, took, (*video.notes, *remarks))


def _thin_out(video: Video, fps: Fraction, name: str) -> Video:
    """Leave frames out, so that a video of the same length has fewer per second; `name` begins the note about it."""
    step = video.fps / fps

    def pictures() -> Iterator[Picture]:
        shown = 0
        for n, picture in enumerate(video):
            if n >= shown * step:
                shown += 1
                yield picture

    def notes() -> tuple[str, ...]:
        return (*video.notes, f"{name} show at most {fps} frames per second, {float(video.fps):g} became {fps}")

    count = int(max(len(video) - 1, 0) / step) + 1
    return replace(video, fps=fps, num_frames=count, pictures=pictures, report=notes)
