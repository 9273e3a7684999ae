"""Plan a video that keeps most of the file that it is made from: which packets are copied, which frames encoded.

Whole groups of pictures are copied or encoded, since the frames of one depend on each other. Both lie in one H.264
stream, which switches between the parameter sets of the file's encoder and of ours (`h264`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.reformatter import ColorPrimaries, ColorTrc
from av.video.stream import VideoStream
from numpy.typing import NDArray

from talkinghead.media.audio import Sound
from talkinghead.media.container import find_video, open_container
from talkinghead.media.copied_sound import NotCopiedError, SoundPlan, plan_sound
from talkinghead.media.formats import MP4, Format
from talkinghead.media.h264 import IDR, LENGTH_BYTES, PPS, PROFILES, SPS, Header, nal_units
from talkinghead.media.video_file import VideoFile
from talkinghead.provenance.marks import Marks

_PIXELS = {"yuv420p", "yuvj420p"}
_IN_ORDER = {0, 1}
"""FFmpeg's numbers of field orders that are not interlaced: unknown and progressive."""

_HDR, _YCGCO = {ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67}, 8


@dataclass(frozen=True, eq=False)
class Changes:
    """What a video changes of the file that it is made from.

    Attributes:
        file: The file.
        frames: Whether each of its frames differs, shape (N,).
        sound: Beginnings and ends, in seconds, of the parts in which the sound differs.
    """

    file: VideoFile
    frames: NDArray[np.bool_]
    sound: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Run:
    """Consecutive frames that are all copied, or all encoded.

    Attributes:
        start: Index of the first one.
        stop: Index of the frame after the last one.
        is_copied: Whether they are copied.
    """

    start: int
    stop: int
    is_copied: bool


@dataclass(frozen=True, eq=False)
class CopyPlan:
    """How a video is made from a file's packets and from new pictures.

    Attributes:
        changes: What is changed.
        header: The file's header.
        time_base: Seconds of the file's unit of time.
        pts: Times of the frames in display order, in this unit.
        dts: Times of the packets in decoding order.
        runs: All frames.
        sound: How the sound is made from the file's packets; None if all of it is encoded.
    """

    changes: Changes
    header: Header
    time_base: Fraction
    pts: NDArray[np.int64]
    dts: NDArray[np.int64]
    runs: tuple[Run, ...]
    sound: SoundPlan | None = None


def plan_copy(
    changes: Changes | None, size: tuple[int, int], fps: Fraction, sound: Sound | None, kind: Format, marks: Marks
) -> tuple[CopyPlan | None, tuple[str, ...]]:
    """Plan which packets of a file are copied into a video.

    Args:
        changes: What the video changes of the file; None if it is another video altogether. If no frame stays as it
            is, nothing is copied.
        size: (height, width) of the video.
        fps: Its frames per second.
        sound: Its sound.
        kind: Its format.
        marks: How it is marked.

    Returns:
        The plan, or None if every picture is encoded; and remarks for the user on what cannot be copied.
    """
    if changes is None or changes.frames.all():
        return None, ()
    file = changes.file
    try:
        if marks.options.label:
            raise NotCopiedError("the label is drawn on all of them")
        if kind is not MP4 or size != file.size or fps != file.fps:
            raise NotCopiedError("the result has another format, size or frame rate")
        plan = _plan_pictures(changes)
    except NotCopiedError as fault:
        return None, (f"{file.file}: the frames around the dubbed part are encoded again, not copied: {fault}",)
    if sound is None or not file.has_sound:
        return plan, ()
    try:
        return replace(plan, sound=plan_sound(file.file, file.begins, changes.sound, sound)), ()
    except NotCopiedError as fault:
        return plan, (f"{file.file}: its sound is encoded again, not copied: {fault}",)


def _plan_pictures(changes: Changes) -> CopyPlan:
    """Plan which pictures are copied.

    Raises:
        NotCopiedError: None can be, or none is unchanged.
    """
    try:
        with open_container(changes.file.file) as container:
            stream = find_video(container)
            if stream is None or "mov" not in container.format.name.split(","):
                raise NotCopiedError("it is no MP4 or MOV file")
            header = _check_coding(stream)
            pts, dts, begins = _read_packets(container, stream, header)
            base = stream.time_base or Fraction(1)
    except (FFmpegError, OSError, ValueError):
        raise NotCopiedError("it is damaged") from None
    shown = np.sort(pts)
    _check_times(shown, base, changes)
    runs = _runs(pts, begins, changes.frames)
    if not any(run.is_copied for run in runs):
        raise NotCopiedError("it has too few key frames to keep any part of it")
    return CopyPlan(changes, header, base, shown, dts, runs)


def _check_coding(stream: VideoStream) -> Header:
    """Return a stream's header if frames that our encoder makes can lie beside its own.

    Raises:
        NotCopiedError: They cannot.
    """
    coder = stream.codec_context
    if coder.name != "h264" or coder.codec_tag != "avc1":
        raise NotCopiedError(f"its pictures are coded as {coder.codec_tag.strip()} ({coder.name}), not as avc1 (h264)")
    header = Header.parse(coder.extradata or b"")
    if coder.pix_fmt not in _PIXELS or header.profile not in PROFILES or header.length_bytes != LENGTH_BYTES:
        raise NotCopiedError(f"its H.264 is of an unusual kind ({coder.profile}, {coder.pix_fmt})")
    if coder.field_order not in _IN_ORDER:
        raise NotCopiedError("it is interlaced")
    if (stream.sample_aspect_ratio or 1) != 1:
        raise NotCopiedError("its pixels are not square")
    if coder.color_primaries == ColorPrimaries.BT2020 or coder.color_trc in _HDR or coder.colorspace == _YCGCO:
        raise NotCopiedError("its colours are not those of most videos (BT.709 and BT.601)")
    if header.free_id() is None:
        raise NotCopiedError("it has too many parameter sets")
    return header


def _read_packets(
    container: InputContainer, stream: VideoStream, header: Header
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return the times of all packets, and whether decoding begins anew at each, in decoding order.

    Raises:
        NotCopiedError: Some are not shown, or the coding changes on the way.
    """
    known = {*header.sps, *header.pps}
    pts, dts, begins = [], [], []
    for packet in container.demux(stream):
        if not packet.size:
            continue
        if packet.is_discard or packet.pts is None or packet.dts is None:
            raise NotCopiedError("some of its frames are not shown")
        units = list(nal_units(bytes(packet)))
        if packet.has_sidedata("new_extradata") or any(_is_set(unit) and unit not in known for unit in units):
            raise NotCopiedError("its coding changes on the way")
        pts.append(packet.pts)
        dts.append(packet.dts)
        begins.append(any(unit[0] & 31 == IDR for unit in units))
    return np.array(pts, np.int64), np.array(dts, np.int64), np.array(begins, bool)


def _is_set(unit: bytes) -> bool:
    return unit[0] & 31 in {SPS, PPS}


def _check_times(pts: NDArray[np.int64], base: Fraction, changes: Changes) -> None:
    """Check that frames are counted as their pictures are: at a constant rate, from the first one on.

    Raises:
        NotCopiedError: They are not.
    """
    file = changes.file
    if len(pts) != len(changes.frames):
        raise NotCopiedError("its frame rate varies, or some frames cannot be decoded")
    if any(round((int(time) * base - file.begins) * file.fps) != n for n, time in enumerate(pts)):
        raise NotCopiedError("its frame rate varies")


def _runs(pts: NDArray[np.int64], begins: NDArray[np.bool_], changed: NDArray[np.bool_]) -> tuple[Run, ...]:
    """Divide all frames into runs, each of one or more groups of pictures that need no other group.

    Args:
        pts: Times of the packets in decoding order.
        begins: Whether decoding begins anew at each packet.
        changed: Whether each frame differs, in display order.
    """
    latest, earliest = np.maximum.accumulate(pts), np.minimum.accumulate(pts[::-1])[::-1]
    is_apart = np.append(True, latest[:-1] < earliest[1:])  # frames before are shown before, those after, after
    starts = np.flatnonzero(begins & is_apart)
    if not len(starts) or starts[0]:
        raise NotCopiedError("it does not begin with a key frame")
    runs: list[Run] = []
    for start, stop in pairwise((*map(int, starts), len(pts))):
        is_copied = not changed[start:stop].any()
        if runs and runs[-1].is_copied == is_copied:
            runs[-1] = Run(runs[-1].start, stop, is_copied)
        else:
            runs.append(Run(start, stop, is_copied))
    return tuple(runs)
