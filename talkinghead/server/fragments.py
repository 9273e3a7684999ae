"""Code live frames: each as a JPEG with its sound, or as fragments of an MP4."""

from __future__ import annotations

import io
import struct
import threading
from fractions import Fraction

import av
import cv2
import numpy as np

from talkinghead.realtime.avatar import AvatarFrame

HEADER = struct.Struct("<IdII")
"""Number, seconds, bytes of sound and bytes of picture; little-endian."""

JPEG_QUALITY = 85
_FRAGMENT = 3
"""Frames of a fragment, which begins with a key frame."""

_TICKS = 90_000
_PRIMING = 1024
"""Samples that AAC begins with before the sound; all times are shifted by them, because none may be negative."""

MP4_TYPE = 'video/mp4; codecs="avc1.42E01F, mp4a.40.2"'


def to_jpeg(frame: AvatarFrame) -> bytes:
    """Return `HEADER`, the sound as 16-bit samples, and the picture; without it if it is that of the frame before."""
    picture = b""
    if not frame.repeated:
        bgr = cv2.cvtColor(frame.picture, cv2.COLOR_RGB2BGR)
        picture = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
    sound = frame.sound.astype("<i2").tobytes()
    return HEADER.pack(frame.number, frame.seconds, len(sound), len(picture)) + sound + picture


class Mp4Fragments:
    """Codes frames as H.264 and AAC in a fragmented MP4, for Media Source Extensions.

    Args:
        size: (height, width) of the frames; odd ones are cut by a pixel.
        fps: Frames per second.
        rate: Samples per second.
    """

    def __init__(self, size: tuple[int, int], fps: Fraction, rate: int) -> None:
        self._written, self._fps, self._lock = io.BytesIO(), fps, threading.Lock()
        flags = "frag_keyframe+delay_moov+default_base_moof"
        self._container = av.open(_Unseekable(self._written), "w", format="mp4", options={"movflags": flags})
        height, width = (side // 2 * 2 for side in size)
        self._video = self._container.add_stream("libx264", rate=fps)
        self._video.width, self._video.height, self._video.pix_fmt = width, height, "yuv420p"
        self._video.options = {"preset": "veryfast", "tune": "zerolatency", "profile": "baseline", "crf": "20"}
        self._video.codec_context.time_base = Fraction(1, _TICKS)
        self._video.codec_context.gop_size = _FRAGMENT
        self._audio = self._container.add_stream("aac", rate=rate, layout="mono")
        self._rate, self._coded, self._fifo = rate, 0, av.AudioFifo()

    def push(self, frame: AvatarFrame) -> bytes:
        """Return the next bytes of the file; none for most frames."""
        with self._lock:
            return self._push(frame)

    def close(self) -> bytes:
        """Return the last bytes, and free the coders; a frame that is being coded in another thread is finished."""
        with self._lock:
            self._container.mux(self._video.encode(None))
            self._container.mux(self._audio.encode(None))
            self._container.close()
            return self._taken()

    def _push(self, frame: AvatarFrame) -> bytes:
        picture = np.ascontiguousarray(frame.picture[: self._video.height, : self._video.width])
        shown = av.VideoFrame.from_ndarray(picture, "rgb24")
        shown.pts, shown.time_base = round((frame.seconds + _PRIMING / self._rate) * _TICKS), Fraction(1, _TICKS)
        for packet in self._video.encode(shown):
            packet.duration = int(_TICKS / self._fps)
            self._container.mux(packet)
        sound = av.AudioFrame.from_ndarray(frame.sound[None], "s16", "mono")
        sound.sample_rate, sound.pts = self._rate, None
        self._fifo.write(sound)
        while (part := self._fifo.read(_PRIMING)) is not None:
            self._coded += _PRIMING
            part.pts, part.time_base = self._coded, Fraction(1, self._rate)
            for packet in self._audio.encode(part):
                packet.duration = _PRIMING
                self._container.mux(packet)
        return self._taken()

    def _taken(self) -> bytes:
        data = self._written.getvalue()
        self._written.seek(0)
        self._written.truncate()
        return data


class _Unseekable:
    """Lets FFmpeg write without going back."""

    def __init__(self, target: io.BytesIO) -> None:
        self.write = target.write
