"""Recognize the format of a picture by its first bytes, and open it after checking its size.

`Image.open` is not used, because its pixel limit and its HEIC plugin would have to be set for the whole process.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pi_heif.as_plugin import HeifImageFile
from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from talkinghead.errors import ImageError
from talkinghead.media.heif import check_texts

MAX_JPEG_PIXELS, MAX_PIXELS = 200_000_000, 100_000_000
"""Largest pictures that are decoded; JPEGs may be larger, because they need the least memory."""

MAX_SCANS = 100
"""Largest number of scans of a progressive JPEG, each of which covers the whole picture; 10 are usual."""

WANTED = "give a PNG, JPEG, WebP, HEIC, AVIF, BMP or TIFF"

_ENDINGS = ".png .jpg .jpeg .jpe .mpo .webp .gif .bmp .heic .heif .hif .avif .tif .tiff"
PICTURE_ENDINGS = frozenset(_ENDINGS.split())
"""Suffixes of pictures that can be read."""

_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")
"""Begins a JPEG segment with a length field; in coded pixels 0xFF is followed by 0x00 or 0xD0 to 0xD7."""

_PREFIX = 64
"""Bytes that are read to recognize a format."""


class _Kind(NamedTuple):
    begins: re.Pattern[bytes]
    opener: type[ImageFile.ImageFile]
    may_move: bool = False


def _begins(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.DOTALL)


_KINDS = (
    # Of several pictures in a JPEG (MPO), and of several pages of a TIFF, the first one is used.
    _Kind(_begins(rb"\xff\xd8\xff"), JpegImageFile),
    _Kind(_begins(rb"\x89PNG\r\n\x1a\n"), PngImageFile, may_move=True),
    _Kind(_begins(rb"RIFF.{4}WEBP"), WebPImageFile, may_move=True),
    _Kind(_begins(rb"GIF8[79]a"), GifImageFile, may_move=True),
    _Kind(_begins(rb".{4}ftyp(avi[fs]|m[is]f1.{4}(.{4})*?avi[fs])"), AvifImageFile, may_move=True),
    _Kind(_begins(rb".{4}ftyp(hei[cxms]|mif[12])"), HeifImageFile),
    _Kind(_begins(rb"II[*+]\0|MM\0[*+]"), TiffImageFile),
    _Kind(_begins(rb"BM"), BmpImageFile),
)


def is_still_picture(file: Path) -> bool:
    """Return whether a file is a picture, even a damaged one; animations are not."""
    kind = _kind_of(file)
    if kind is None or not kind.may_move:
        return kind is not None
    try:
        with _open(file, kind) as image:
            return not getattr(image, "is_animated", False)  # counting the frames of a GIF would read all of it
    except ImageError:
        return True


def is_animation(file: Path) -> bool:
    """Return whether a file is an animated GIF, PNG, WebP or AVIF, which counts as a video."""
    kind = _kind_of(file)
    return kind is not None and not is_still_picture(file)


@contextmanager
def open_picture(file: Path) -> Iterator[Image.Image]:
    """Open a picture of an acceptable size.

    Raises:
        ImageError: It is not a picture, its header is damaged, or it is too large.
    """
    kind = _kind_of(file)
    if kind is None:
        raise ImageError(f"{file}: not a picture that can be read; {WANTED}")
    with _open(file, kind) as image:
        width, height = image.size
        limit = MAX_JPEG_PIXELS if kind.opener is JpegImageFile else MAX_PIXELS
        if width * height > limit:
            raise ImageError(_too_large(file, f"{width} × {height}"))
        if kind.opener is JpegImageFile and count_scans(file) > MAX_SCANS:
            raise ImageError(f"{file}: a progressive JPEG of more than {MAX_SCANS} scans; save it again")
        yield image


def count_scans(file: Path) -> int:
    """Return the number of scans of a JPEG's first picture, counted by its markers."""
    scans, position = 0, 2
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        while (found := _MARKER.search(data, position)) and found[1] != b"\xd9":  # until the end of the picture
            scans += found[1] == b"\xda"
            position = found.end() + int.from_bytes(data[found.end() : found.end() + 2])
    return scans


def _kind_of(file: Path) -> _Kind | None:
    with file.open("rb") as stream:
        prefix = stream.read(_PREFIX)
    return next((kind for kind in _KINDS if kind.begins.match(prefix)), None)


@contextmanager
def _open(file: Path, kind: _Kind) -> Iterator[Image.Image]:
    with file.open("rb") as stream:
        try:
            if kind.opener is HeifImageFile:
                with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    check_texts(data)
            image = kind.opener(stream)
        except Image.DecompressionBombError:  # some formats check Pillow's own limit
            raise ImageError(_too_large(file, "its")) from None
        except Exception as error:  # damaged headers raise many kinds of errors
            raise ImageError(f"{file}: not a picture that can be read ({error}); export it again") from error
        yield image


def _too_large(file: Path, size: str) -> str:
    limits = f"at most {MAX_JPEG_PIXELS // 10**6} megapixels of a JPEG, {MAX_PIXELS // 10**6} of other pictures"
    return f"{file}: {size} pixels are too many ({limits}); give a smaller copy"
