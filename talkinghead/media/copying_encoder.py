"""Write a video that keeps most of the file that it is made from, by a plan from `copying`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags
from av.container import InputContainer
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

from talkinghead.media.audio import Sound
from talkinghead.media.colour import color_matrix, to_picture
from talkinghead.media.container import find_video, open_container
from talkinghead.media.copied_sound import CopiedSound
from talkinghead.media.copying import CopyPlan, Run
from talkinghead.media.encode import THREADS, open_output
from talkinghead.media.formats import MP4
from talkinghead.media.h264 import PROFILES, Header
from talkinghead.media.image import Picture
from talkinghead.media.soundtrack import SoundTrack
from talkinghead.media.yuv import MARGIN, Box, changed_box, grown, planes
from talkinghead.provenance.marks import Marks
from talkinghead.provenance.watermark import LUMA_SHARE, Watermark, open_watermark


class CopyingEncoder:
    """Takes a video picture by picture, like `VideoEncoder`; for most pictures the file's packets are copied."""

    def __init__(self, file: Path, plan: CopyPlan, sound: Sound | None, crf: int, marks: Marks | None) -> None:
        """Open the files.

        Args:
            file: The file to write.
            plan: What is copied.
            sound: The sound of the changed parts, or all of it.
            crf: Quality of the frames that are encoded.
            marks: How they and the file are marked.
        """
        self._plan, self._crf, self._count, self._runs = plan, crf, 0, iter(plan.runs)
        self._run = Run(0, 0, is_copied=True)
        self._input = open_container(plan.changes.file.file)
        self._source: VideoStream = find_video(self._input)  # type: ignore[assignment] — the plan has looked
        self._packets = _packets(self._input, self._source)
        self._coder = self._open_coder()
        self._container = open_output(file, MP4, marks)
        self._video: VideoStream = self._container.add_stream_from_template(self._source)
        self._video.codec_context.extradata = bytes(plan.header.joined(Header.parse(self._coder.extradata or b"")))
        is_full = self._source.codec_context.color_range == ColorRange.JPEG
        self._watermark = open_watermark(marks, 1.0 if is_full else LUMA_SHARE)
        self._sound = None
        if plan.sound and sound:
            self._sound = CopiedSound(self._container, plan.sound, sound)
        elif sound:
            self._sound = SoundTrack(self._container, sound, MP4.sound)
        self._decoded: Iterator[av.VideoFrame] = iter(())
        self._last: av.VideoFrame | None = None

    def encode(self, picture: Picture) -> None:
        """Add one picture, shape (H, W, 3), and the sound of its duration.

        Raises:
            OSError: The file cannot be written.
        """
        if self._count == self._run.stop:
            self._begin(next(self._runs))
        if self._run.is_copied:
            self._copy()
        else:
            self._last = next(self._decoded, self._last)
            assert self._last is not None
            self._mux(self._coder.encode(self._timed(_repainted(self._last, picture, self._watermark))))
        self._count += 1
        if self._count == self._run.stop and not self._run.is_copied:
            self._mux(self._coder.encode(None))
        if self._sound:
            self._sound.encode(self._count / self._plan.changes.file.fps)

    def finish(self) -> None:
        """Write the rest of the sound and complete the file.

        Raises:
            OSError: The file cannot be written.
        """
        if self._sound:
            self._sound.finish(self._count / self._plan.changes.file.fps)
        self._container.close()

    def close(self) -> None:
        """Close the files; the written one is only usable after `finish`."""
        if self._sound:
            self._sound.drop()
        self._input.close()
        self._container.close()

    def _begin(self, run: Run) -> None:
        self._run, self._done = run, run.start
        if not run.is_copied:
            if run.start:  # the encoder of the run before has ended
                self._coder = self._open_coder()
            self._decoded = _decoded(self._source, islice(self._packets, run.stop - run.start))

    def _copy(self) -> None:
        packet = next(self._packets)
        origin = int(self._plan.pts[0])
        packet.pts, packet.dts = (packet.pts or 0) - origin, (packet.dts or 0) - origin
        packet.stream = self._video
        self._container.mux(packet)

    def _timed(self, frame: av.VideoFrame) -> av.VideoFrame:
        frame.pts, frame.time_base = self._count, 1 / self._plan.changes.file.fps
        return frame

    def _mux(self, packets: list[av.Packet]) -> None:
        """Write encoded packets at the times of those whose place they take."""
        plan = self._plan
        origin = int(plan.pts[0])
        for packet in packets:
            packet.pts, packet.dts = int(plan.pts[self._done]) - origin, int(plan.dts[self._done]) - origin
            packet.time_base, packet.stream = plan.time_base, self._video
            packet.duration = round(1 / (plan.changes.file.fps * plan.time_base))
            self._container.mux(packet)
            self._done += 1

    def _open_coder(self) -> VideoCodecContext:
        """Return an encoder whose packets can lie beside the file's own.

        Its frames are decoded in the order in which they are shown, which fits the times of any other order.
        """
        source, header, fps = self._source.codec_context, self._plan.header, self._plan.changes.file.fps
        coder: VideoCodecContext = av.CodecContext.create(MP4.codec, "w")  # type: ignore[assignment]
        coder.width, coder.height, coder.pix_fmt = source.width, source.height, source.pix_fmt
        coder.time_base, coder.framerate = 1 / fps, fps
        coder.colorspace, coder.color_range = source.colorspace, source.color_range
        coder.color_primaries, coder.color_trc = source.color_primaries, source.color_trc
        coding = MP4.coder_options(max(self._crf, 1))  # lossless frames need a profile of their own
        numbered = f"sps-id={header.free_id()}:annexb=0:bframes=0"
        coder.options = coding | {
            "profile": PROFILES[header.profile],
            "x264-params": f"{coding['x264-params']}:{numbered}",
        }
        coder.flags |= Flags.global_header
        coder.thread_count = THREADS
        coder.open()
        return coder


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[av.Packet]:
    return (packet for packet in container.demux(stream) if packet.size)


def _decoded(stream: VideoStream, packets: Iterator[av.Packet]) -> Iterator[av.VideoFrame]:
    """Decode packets that need no others, and skip damaged ones."""
    for packet in packets:
        try:
            yield from packet.decode()  # type: ignore[misc]
        except FFmpegError:
            continue
    last = stream.codec_context.decode(None)
    stream.codec_context.flush_buffers()  # before the last frames are taken, since nobody asks for more than those
    yield from last


def _repainted(frame: av.VideoFrame, picture: Picture, watermark: Watermark | None) -> av.VideoFrame:
    """Return a copy of a file's frame with what differs in a picture; everything else stays as it was decoded.

    Args:
        frame: The frame, which may lie on its side.
        picture: What it shall show, upright, shape (H, W, 3).
        watermark: What is laid on its luma.
    """
    turns, size = round(frame.rotation / 90), (frame.width, frame.height)
    picture = np.ascontiguousarray(np.rot90(picture, -turns))
    result = av.VideoFrame(*size, frame.format.name)
    result.colorspace, result.color_range = frame.colorspace, frame.color_range
    for new, old in zip(planes(result), planes(frame), strict=True):
        new[:] = old
    box = changed_box(to_picture(frame, size), picture)
    if box is not None:
        _paint(result, frame, picture, grown(box, MARGIN // 2, picture.shape))
    if watermark:
        luma = planes(result)[0]
        upright = np.ascontiguousarray(np.rot90(luma, turns))
        luma[:] = np.rot90(watermark.lay(upright), -turns)
    return result


def _paint(result: av.VideoFrame, like: av.VideoFrame, picture: Picture, box: Box) -> None:
    """Write a box of a picture into a frame, in the colours of the file; the box has even sides."""
    shown = av.VideoFrame.from_ndarray(picture, format="rgb24")
    is_full = like.color_range == ColorRange.JPEG
    painted = shown.reformat(
        format=like.format.name,
        dst_colorspace=color_matrix(like),
        dst_color_range=ColorRange.JPEG if is_full else ColorRange.MPEG,
    )
    for n, (new, old) in enumerate(zip(planes(result), planes(painted), strict=True)):
        step = 1 if n == 0 else 2
        part = tuple(slice(side.start // step, side.stop // step) for side in box)
        new[part] = old[part]
