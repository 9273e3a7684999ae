"""Open media files to be read, in one place: which formats, whatever their tags hold, with frames of what size."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

MAX_FRAME_PIXELS = 40_000_000
"""A video's frame with more is refused before it is decoded; 8K has 33 million."""

LONGEST_GAP = Fraction(600)
"""Seconds that may pass between two frames, or between the beginnings of picture and sound: more is damage."""

_FORMATS = (
    # Each holds its pictures and sound itself. Playlists and descriptions, which make FFmpeg open other files or
    # the network (hls, concat, dash, imf, sdp ...), texts, raw samples, devices and single pictures stay out.
    "aac,ac3,aiff,amr,ape,apng,asf,au,avi,caf,dts,dtshd,dv,eac3,flac,flv,gif,gsm,h261,h263,h264,hevc,ivf,loas,"
    "m4v,matroska,mjpeg,mlp,mov,mp3,mpc,mpc8,mpeg,mpegts,mpegvideo,mxf,obu,ogg,rm,tak,truehd,tta,"
    "vc1,voc,w64,wav,wtv,wv,yuv4mpegpipe,dsf"
)
_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": "file", "max_pixels": str(MAX_FRAME_PIXELS)}

_PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"<?xml", b"<MPD", b"v=0")

_PICTURE_BRANDS = {"heic", "heix", "heim", "heis", "mif1", "avif"}
"""Brands of HEIF pictures, which FFmpeg opens as if they were videos."""


def open_container(source: Path | BinaryIO) -> InputContainer:
    """Open a file, or a pipe; its tags may be in any encoding.

    Raises:
        FFmpegError: It is no media file, or of a format that reads other files.
        OSError: It cannot be read.
    """
    # A pipe has a way to seek, which fails.
    where = f"file:{source}" if isinstance(source, Path) else SimpleNamespace(read=source.read)
    return av.open(where, "r", metadata_errors="replace", options=_OPTIONS)


def is_playlist(file: Path) -> bool:
    """Tell a list of other files, by its first bytes."""
    with suppress(OSError), file.open("rb") as content:
        return content.read(16).lstrip(b"\xef\xbb\xbf").startswith(_PLAYLISTS)
    return False


def find_video(container: InputContainer) -> VideoStream | None:
    """Return the first video that can be decoded; a cover picture and a HEIF picture are none."""
    if container.metadata.get("major_brand") in _PICTURE_BRANDS:
        return None
    for stream in container.streams.video:
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic:
            stream.codec_context.options = {"max_pixels": str(MAX_FRAME_PIXELS)}
            return stream
    return None


def find_sound(container: InputContainer) -> AudioStream | None:
    """Return the first sound track that can be decoded."""
    return next((stream for stream in container.streams.audio if stream.codec_context is not None), None)
