"""The containers that videos are written into, and how pictures and sound are coded in each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from talkinghead.errors import OutputError


@dataclass(frozen=True)
class Format:
    """How a video is coded. Every coder here gives the same bytes for the same pictures.

    Attributes:
        suffix: Ending of the file's name.
        container: FFmpeg's name of the container.
        codec: What codes the pictures.
        pixels: How their pixels are laid out.
        alpha: Whether pictures are RGBA, their alpha not multiplied into the colours.
        coding: Settings of the coder.
        has_crf: Whether it knows a constant quality.
        sound: What codes the sound.
        muxing: Settings of the container.
        max_delay: How many pictures may be coded before one that is shown earlier.
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
    max_delay: int = 0

    def coder_options(self, crf: int) -> dict[str, str]:
        """Return the coder's settings for a quality from 0 (best) to 51."""
        return {**dict(self.coding), **({"crf": str(crf)} if self.has_crf else {})}


_TAGS = ("movflags", "+faststart+use_metadata_tags")
_SAME_BYTES = ("fflags", "+bitexact")  # Matroska numbers its files by chance otherwise
# Variable bitrate as `crf` asks, no look-ahead, and no hidden frames, which alpha does not survive.
_VP9 = (("b", "0"), ("deadline", "good"), ("cpu-used", "5"), ("auto-alt-ref", "0"), ("lag-in-frames", "0"))

# Without the macroblock tree: on processors with AVX-512 it decides by chance, and two runs differ.
_H264 = (("preset", "veryfast"), ("x264-params", "mbtree=0"))

MP4 = Format(".mp4", "mp4", "libx264", "yuv420p", "aac", _H264, (_TAGS,), max_delay=2)
WEBM = Format(".webm", "webm", "libvpx-vp9", "yuv420p", "libopus", _VP9, (_SAME_BYTES,))
WEBM_ALPHA = Format(".webm", "webm", "libvpx-vp9", "yuva420p", "libopus", _VP9, (_SAME_BYTES,), alpha=True)
MOV_ALPHA = Format(
    ".mov", "mov", "prores_ks", "yuva444p10le", "pcm_s16le", (("profile", "4444"),), (_TAGS,), alpha=True, has_crf=False
)


def choose_format(file: Path, *, alpha: bool) -> Format:
    """Return the format that a file's name asks for.

    Raises:
        OutputError: Its ending stands for none that would do.
    """
    known = {kind.suffix: kind for kind in ((WEBM_ALPHA, MOV_ALPHA) if alpha else (MP4, WEBM))}
    kind = known.get(file.suffix.lower())
    if kind is None:
        what = "transparent videos" if alpha else "videos"
        raise OutputError(f"{file}: {what} are written as {' or '.join(known)}: give a name that ends so")
    return kind
