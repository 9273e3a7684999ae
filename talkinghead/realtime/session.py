"""Run a live session: animate a portrait from a camera into a window, a file or a pipe."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import cv2

from talkinghead.errors import OutputError
from talkinghead.inputs.files import files_read
from talkinghead.media.files import check_output
from talkinghead.media.image import Picture
from talkinghead.media.timing import steady
from talkinghead.media.video import VideoFrame, VideoWriter
from talkinghead.models import Models, load_models_for
from talkinghead.options import MODEL, Options, StrPath
from talkinghead.provenance.check import check_marks
from talkinghead.provenance.marks import Marks
from talkinghead.realtime.live import LiveReenactor
from talkinghead.realtime.stopping import Stop
from talkinghead.realtime.webcam import CameraFeed, open_feed
from talkinghead.source.given import read_picture
from talkinghead.source.image import open_image_source

PIPE = "-"
"""The output name for standard output: frames as raw RGB, 3 bytes per pixel, row by row."""

_TITLE = "Talkinghead: q quits, space recalibrates"


@dataclass(frozen=True)
class Session:
    """A summary of a live session.

    Attributes:
        frames: The number of camera frames.
        seconds: The duration of the session.
        fps: Frames per second of a file or pipe.
        size: (height, width) of the pictures.
    """

    frames: int
    seconds: float
    fps: Fraction
    size: tuple[int, int]


def run_live(
    source: StrPath | Picture, output: StrPath | None, options: Options, model: str | Path | Models = MODEL
) -> Session:
    """Animate a portrait from a camera until the input ends, the time is over, or the user quits.

    Once there are frames, Ctrl-C and SIGTERM end the session normally.

    Args:
        source: A picture file, or RGB of shape (H, W, 3), uint8.
        output: An mp4 to write, "-" for raw RGB on standard output, or None for a window.
        options: All other options.
        model: As in `live`.

    Raises:
        PortraitError: An argument cannot be used.
        KeyboardInterrupt: The user pressed Ctrl-C before there was a frame, or twice.
    """
    file = None
    if output not in {None, PIPE}:
        file = check_output(str(output), files_read(options, source), overwrite=options.render.overwrite)
        check_marks(options.provenance, file)
    elif output is None:
        _require_screen()
    picture, name = read_picture(source)
    with Stop() as stop, open_feed(options.live) as feed:
        fps = options.render.fps or feed.fps
        options = replace(options, render=replace(options.render, fps=fps))
        models = load_models_for(options.render, model)
        opened = open_image_source(picture, name, models, options.crop)
        reenactor = LiveReenactor(opened, models, options)
        start = time.perf_counter()
        made = _reenacted(feed, reenactor, stop, options.live.seconds)
        if output is None:
            _show(made, reenactor, feed)
        elif file is None:
            _pipe(steady(made, fps))
        else:
            marks = Marks(options.provenance, source, tuple(files_read(options, source)))
            crf, overwrite = options.render.crf, options.render.overwrite
            with VideoWriter(file, fps, opened.size, None, crf, overwrite=overwrite, marks=marks) as writer:
                for frame in steady(made, fps):
                    writer.write(frame.picture)
        return Session(reenactor.num_frames, time.perf_counter() - start, fps, opened.size)


def _reenacted(feed: CameraFeed, reenactor: LiveReenactor, stop: Stop, seconds: float | None) -> Iterator[VideoFrame]:
    frames = iter(feed.frames)
    while (frame := stop.next_frame(frames)) is not None:
        if seconds is not None and frame.seconds >= seconds:
            return
        made = replace(frame, picture=reenactor.step(frame.picture))
        stop.arm()
        yield made


def _show(frames: Iterator[VideoFrame], reenactor: LiveReenactor, feed: CameraFeed) -> None:
    """Show frames in a window, those of a file at its frame rate; q or Escape quits, the space bar recalibrates."""
    start = time.monotonic()
    for frame in frames:
        cv2.imshow(_TITLE, cv2.cvtColor(frame.picture, cv2.COLOR_RGB2BGR))
        early = 0.0 if feed.is_live else float(frame.seconds) - (time.monotonic() - start)
        key = cv2.waitKey(max(int(early * 1000), 1)) & 0xFF
        if key in {ord("q"), 27}:
            break
        if key == ord(" "):
            reenactor.calibrate()
    cv2.destroyAllWindows()


def _pipe(frames: Iterator[VideoFrame]) -> None:
    """Write frames to standard output until the reader closes it."""
    try:
        for frame in frames:
            sys.stdout.buffer.write(frame.picture.tobytes())
            sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Otherwise Python reports at exit that the buffer could not be flushed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _require_screen() -> None:
    """Check that windows can be opened.

    Raises:
        OutputError: Windows cannot be opened.
    """
    framework = cv2.currentUIFramework()
    hidden = sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    if not framework or hidden:
        reason = "there is no screen" if framework else "this OpenCV has no windows"
        raise OutputError(f"no window can be opened, {reason}: give -o FILE.mp4, or -o - for plain RGB on stdout")
