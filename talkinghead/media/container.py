"""Open media files for reading, limited to safe formats and frame sizes."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

MAX_FRAME_PIXELS = 40_000_000
"""Largest frame of a video that is decoded; 8K has 33 million pixels."""

LONGEST_GAP = Fraction(600)
"""Longest time in seconds between two frames, or between the starts of picture and sound; more means damaged times."""

_FORMATS = (
    # These formats contain their own pictures and sound. Excluded are playlists and descriptions, which make FFmpeg
    # open other files or the network (hls, concat, dash, imf, sdp ...), texts, raw samples, devices and pictures.
    "aac,ac3,aiff,amr,ape,apng,asf,au,avi,caf,dts,dtshd,dv,eac3,flac,flv,gif,gsm,h261,h263,h264,hevc,ivf,loas,"
    "m4v,matroska,mjpeg,mlp,mov,mp3,mpc,mpc8,mpeg,mpegts,mpegvideo,mxf,obu,ogg,rm,tak,truehd,tta,"
    "vc1,voc,w64,wav,wtv,wv,yuv4mpegpipe,dsf"
)
_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": "file", "max_pixels": str(MAX_FRAME_PIXELS)}

_PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"<?xml", b"<MPD", b"v=0")

_PICTURE_BRANDS = {"heic", "heix", "heim", "heis", "mif1", "avif"}
"""Brands of HEIF pictures, which FFmpeg opens as if they were videos."""


class Readable(Protocol):
    """What can be read but has no method to seek, so that FFmpeg does not try."""

    def read(self, size: int, /) -> bytes:
        """Read bytes; none at the end."""
        ...


def open_container(source: Path | Readable) -> InputContainer:
    """Open a file or a pipe; its tags may be in any encoding.

    Raises:
        FFmpegError: It is not a media file, or its format is excluded.
        OSError: It cannot be read.
    """
    where = f"file:{source}" if isinstance(source, Path) else source
    return av.open(where, "r", metadata_errors="replace", options=_OPTIONS)


def is_playlist(file: Path) -> bool:
    """Return whether a file is a playlist, by its first bytes."""
    with suppress(OSError), file.open("rb") as content:
        return content.read(16).lstrip(b"\xef\xbb\xbf").startswith(_PLAYLISTS)
    return False


def find_video(container: InputContainer) -> VideoStream | None:
    """Return the first video stream that can be decoded, except cover pictures and HEIF pictures."""
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
