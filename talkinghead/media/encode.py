"""Encode pictures and sound into one video that is marked as AI-generated."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream

from talkinghead.media.audio import Sound
from talkinghead.media.formats import MP4, Format
from talkinghead.media.image import Picture
from talkinghead.media.palette import Palette
from talkinghead.media.soundtrack import SoundTrack
from talkinghead.media.yuv import YuvConverter
from talkinghead.provenance.label import open_label
from talkinghead.provenance.marks import COMPOSITE, Marks
from talkinghead.provenance.tags import video_tags
from talkinghead.provenance.watermark import LUMA_SHARE, open_watermark

THREADS = 2


def open_output(file: Path, kind: Format, marks: Marks | None) -> OutputContainer:
    """Open a video for writing, with tags that mark it as AI-generated."""
    container = av.open(f"file:{file}", "w", format=kind.container, options=dict(kind.muxing))
    container.metadata.update(video_tags(marks.source_type if marks else COMPOSITE))
    return container


class VideoEncoder:
    """Encodes a video picture by picture."""

    def __init__(
        self,
        file: Path,
        fps: Fraction,
        size: tuple[int, int],
        sound: Sound | None,
        crf: int,
        kind: Format = MP4,
        marks: Marks | None = None,
    ) -> None:
        """Open the file.

        Args:
            file: The file to write.
            fps: Frames per second.
            size: (height, width) of the pictures; odd sizes are padded by repeating the last row or column.
            sound: The sound, encoded at its own rate and channels if the encoder supports them; None for silence.
                Animated pictures have none.
            crf: Quality, 0 to 51, lower is better.
            kind: The format.
            marks: How the pictures are marked; None for parts of a video that are not shown alone.
        """
        self._fps, self._count, self._kind = fps, 0, kind
        self._container = open_output(file, kind, marks)
        self._video = self._add_video(size, crf)
        self._palette = Palette(self._video.width, self._video.height, fps) if kind.pixels == "pal8" else None
        by_planes = not (kind.is_animation or kind.alpha)
        self._label = open_label(marks, size)
        self._watermark = open_watermark(marks, LUMA_SHARE if by_planes else 1.0)
        self._yuv = YuvConverter(self._watermark) if by_planes else None
        self._sound = SoundTrack(self._container, sound, kind.sound) if sound and kind.sound else None

    def encode(self, picture: Picture) -> None:
        """Add one picture, shape (H, W, 3), or (H, W, 4) if the format has alpha, and the sound of its duration.

        Raises:
            OSError: The file cannot be written.
        """
        labelled = self._label.draw(picture) if self._label else picture
        frame = self._convert(_make_even(labelled))
        self._count += 1
        self._container.mux(self._video.encode(frame))
        if self._sound:
            self._sound.encode(self._count / self._fps)

    def _convert(self, picture: Picture) -> av.VideoFrame:
        """Return the next frame, in the format's pixels."""
        if self._yuv:
            return self._timed(self._yuv.convert(picture))
        if self._watermark:
            picture = self._watermark.lay_on_picture(picture)
        frame = self._timed(av.VideoFrame.from_ndarray(picture, format="rgba" if self._kind.alpha else "rgb24"))
        if self._palette:
            return self._palette.reduce(frame)
        if self._kind.is_animation:
            return frame.reformat(format=self._kind.pixels)
        return frame.reformat(
            format=self._kind.pixels, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )

    def _timed(self, frame: av.VideoFrame) -> av.VideoFrame:
        frame.pts, frame.time_base = self._count, 1 / self._fps
        return frame

    def finish(self) -> None:
        """Encode the sound up to the end of the pictures and complete the file.

        Raises:
            OSError: The file cannot be written.
        """
        self._container.mux(self._video.encode(None))
        if self._sound:
            self._sound.finish(self._count / self._fps)
        self._container.close()

    def close(self) -> None:
        """Close the file, which is only usable after `finish`."""
        if self._sound:
            self._sound.drop()
        self._container.close()

    def _add_video(self, size: tuple[int, int], crf: int) -> VideoStream:
        coding = self._kind.coder_options(crf)
        stream: VideoStream = self._container.add_stream(self._kind.codec, rate=self._fps, options=coding)  # type: ignore[assignment]
        stream.height, stream.width = (side + side % 2 for side in size)
        stream.pix_fmt = self._kind.pixels
        stream.time_base = 1 / self._fps
        context = stream.codec_context
        context.thread_count = THREADS
        if self._kind.is_animation:
            return stream
        context.colorspace = Colorspace.ITU709
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709
        context.color_range = ColorRange.MPEG
        return stream


def _make_even(picture: Picture) -> Picture:
    """Pad pictures of odd size by repeating the last row or column, because H.264 halves the colour resolution."""
    height, width = picture.shape[:2]
    if height % 2 or width % 2:
        picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
    return np.ascontiguousarray(picture)
