"""The formats of written videos: containers, and the encoding of pictures and sound."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from talkinghead.errors import OutputError


@dataclass(frozen=True)
class Format:
    """The format of a video. All of them are deterministic: the same pictures give the same bytes.

    Attributes:
        suffix: Suffix of the file name.
        container: FFmpeg's name of the container.
        codec: FFmpeg's name of the video encoder.
        pixels: FFmpeg's name of the pixel format.
        alpha: Whether pictures are RGBA, with straight alpha.
        coding: Options of the video encoder.
        has_crf: Whether the encoder has the option `crf`.
        crf_shift: What is added to it.
        sound: FFmpeg's name of the audio encoder.
        muxing: Options of the container.
        is_animation: Whether it is an animated picture, without sound and with a picture's colours.
        max_fps: Most frames per second that it can time and that browsers show at their pace; None for no limit.
        max_delay: Largest number of frames by which decoding order precedes display order.
    """

    suffix: str
    container: str
    codec: str
    pixels: str
    sound: str
    coding: tuple[tuple[str, str], ...]
    muxing: tuple[tuple[str, str], ...] = ()
    alpha: bool = False
    has_crf: bool = True
    crf_shift: float = 0.0
    is_animation: bool = False
    max_fps: int | None = None
    max_delay: int = 0

    def coder_options(self, crf: int) -> dict[str, str]:
        """Return the video encoder's options for a quality from 0 (best) to 51.

        x264 takes every value below 1 for 0, which is lossless and needs a profile that many players lack.
        """
        quality = {"crf": f"{max(crf + self.crf_shift, min(crf, 1)):g}"} if self.has_crf else {}
        return {**dict(self.coding), **quality}


_TAGS = ("movflags", "+faststart+use_metadata_tags")
_SAME_BYTES = ("fflags", "+bitexact")  # otherwise Matroska files get random identifiers
# Variable bitrate as `crf` asks, no look-ahead, and no hidden frames, which alpha does not survive.
_VP9 = (("b", "0"), ("deadline", "good"), ("cpu-used", "5"), ("auto-alt-ref", "0"), ("lag-in-frames", "0"))

# Without the macroblock tree, which is not deterministic on processors with AVX-512. Without small blocks in P and B
# frames, which take a quarter of the time: `crf_shift` gives their quality back. Always with three B frames between
# others: choosing their number takes another quarter, and talking heads need no more bytes without it.
_X264 = "mbtree=0:partitions=i8x8,i4x4:bframes=3:b-adapt=0:scenecut=0:rc-lookahead=0"
_H264 = (("preset", "veryfast"), ("x264-params", _X264))

MP4 = Format(".mp4", "mp4", "libx264", "yuv420p", "aac", _H264, (_TAGS,), crf_shift=-0.2, max_delay=2)
WEBM = Format(".webm", "webm", "libvpx-vp9", "yuv420p", "libopus", _VP9, (_SAME_BYTES,))
WEBM_ALPHA = Format(".webm", "webm", "libvpx-vp9", "yuva420p", "libopus", _VP9, (_SAME_BYTES,), alpha=True)
MOV_ALPHA = Format(
    ".mov", "mov", "prores_ks", "yuva444p10le", "pcm_s16le", (("profile", "4444"),), (_TAGS,), alpha=True, has_crf=False
)

# Browsers show a frame of 10 ms or less for 100 ms. GIF counts time in hundredths of a second, WebP in thousandths.
GIF = Format(".gif", "gif", "gif", "pal8", "", (), has_crf=False, is_animation=True, max_fps=50)
WEBP = Format(
    ".webp",
    "webp",
    "libwebp_anim",
    "yuv420p",
    "",
    (("quality", "85"),),
    (("loop", "0"),),
    has_crf=False,
    is_animation=True,
    max_fps=90,
)
PLAIN = {kind.suffix: kind for kind in (MP4, GIF, WEBP)}
"""Formats of videos of a single portrait, by the suffix of the file name."""


def choose_format(file: Path, *, alpha: bool) -> Format:
    """Return the format for a file's suffix.

    Raises:
        OutputError: There is no format for the suffix.
    """
    known = {kind.suffix: kind for kind in ((WEBM_ALPHA, MOV_ALPHA) if alpha else (MP4, WEBM))}
    kind = known.get(file.suffix.lower())
    if kind is None:
        what = "transparent videos" if alpha else "videos"
        raise OutputError(f"{file}: {what} are written as {' or '.join(known)}: give a name that ends in one of them")
    return kind
