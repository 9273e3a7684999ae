"""Read pictures as people mean them: upright, in sRGB, on a white ground, eight bits."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from talkinghead.errors import ImageError
from talkinghead.media.files import new_output, require_file

Picture = NDArray[np.uint8]

MAX_PIXELS = 200_000_000
"""A picture with more is refused before it is decoded."""

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF")
"""What Pillow may try: formats that start other programs stay out."""


PICTURE_SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
"""How pictures may be written."""


def read_image(path: str | os.PathLike[str]) -> Picture:
    """Read a picture.

    Args:
        path: PNG, JPEG, WebP, BMP, TIFF, AVIF or GIF (its first frame).

    Returns:
        RGB, shape (H, W, 3): turned as its EXIF says, brought to sRGB if it has a colour profile, transparent
        parts laid on white, 16 bits brought to 8.

    Raises:
        InputNotFoundError: There is no such file.
        ImageError: It is a folder, no picture, broken, or larger than 200 megapixels.
    """
    file = require_file(path, ImageError)
    with _open(file) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise ImageError(
                f"{file}: {width} × {height} pixels are too many: at most {MAX_PIXELS // 10**6} megapixels"
            )
        try:
            image.load()
            upright = ImageOps.exif_transpose(image)
            return np.array(_to_rgb(upright))
        except MemoryError:
            raise ImageError(f"{file}: {width} × {height} pixels do not fit into memory") from None
        except Exception as error:  # whatever a broken file makes a decoder raise
            raise ImageError(f"{file}: the picture is damaged ({error}); export it again") from error


def is_still(path: str | os.PathLike[str]) -> bool:
    """Tell a picture from everything else; animations are no pictures.

    Raises:
        InputNotFoundError: There is no such file.
        ImageError: It is a folder.
    """
    file = require_file(path, ImageError)
    try:
        with _open(file) as image:
            return getattr(image, "n_frames", 1) == 1
    except Exception:  # headers of broken files raise all sorts of errors
        return False


def write_image(picture: Picture, file: Path, *, overwrite: bool = False) -> None:
    """Write a picture, complete or not at all; its name says how it is coded.

    Raises:
        OutputError: It cannot be written there.
    """
    with new_output(file, overwrite=overwrite) as partial:
        Image.fromarray(picture).save(partial, format=PICTURE_SUFFIXES[file.suffix.lower()], quality=95)


def check_picture(picture: object) -> Picture:
    """Make sure that an array is a picture.

    Raises:
        ImageError: It is not RGB, uint8, shape (H, W, 3).
    """
    if not isinstance(picture, np.ndarray):
        found = type(picture).__name__
    elif picture.dtype == np.uint8 and picture.shape[2:] == (3,) and 0 < picture.size <= 3 * MAX_PIXELS:
        return picture
    else:
        found = f"{picture.dtype} of shape {picture.shape}"
    raise ImageError(f"a picture must be a uint8 RGB array of shape (height, width, 3), not {found}")


def limit_size(picture: Picture, longest: int) -> Picture:
    """Shrink a picture until its longer side is at most `longest` pixels; smaller pictures stay as they are."""
    height, width = picture.shape[:2]
    ratio = longest / max(height, width)
    return picture if ratio >= 1 else resize(picture, max(round(width * ratio), 1), max(round(height * ratio), 1))


def resize(picture: Picture, width: int, height: int) -> Picture:
    """Resample a picture without aliasing."""
    return np.array(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))


@contextmanager
def _open(file: Path) -> Iterator[Image.Image]:
    """Open a picture; only its header is read."""
    if file.stat().st_size == 0:
        raise ImageError(f"{file}: the file is empty")
    try:
        stream = file.open("rb")
    except PermissionError:
        raise ImageError(f"{file}: may not be read; check its permissions") from None
    with stream:
        try:
            image = _read_header(stream)
        except Exception as error:  # headers of broken files raise all sorts of errors
            raise ImageError(f"{file}: not a picture that can be read: give a PNG, JPEG, WebP, BMP or TIFF") from error
        yield image


def _read_header(stream: BinaryIO) -> Image.Image:
    """Do what `Image.open` does, without its limit of pixels, which is below ours and that of the whole process."""
    Image.init()
    prefix = stream.read(16)
    for factory, accept in (Image.OPEN[name] for name in _FORMATS if name in Image.OPEN):
        if accept and accept(prefix) is not True:
            continue
        stream.seek(0)
        with suppress(SyntaxError, IndexError, TypeError, struct.error):  # it is of another format
            return factory(stream, "")
    raise UnidentifiedImageError("no format fits")


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB on white."""
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        image = Image.fromarray(_eight_bits(np.asarray(image)))
    image = _to_srgb(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    ground = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(ground, image).convert("RGB")


def _eight_bits(values: NDArray) -> Picture:
    """Bring gray values to 0..255: integers are 16 bit unless they are all small, floats go to 1 or to 255."""
    if values.dtype.kind == "f":
        return np.nan_to_num(values * (255 if np.nanmax(values) <= 1 else 1)).clip(0, 255).round().astype(np.uint8)
    if values.dtype != np.uint16 and values.max() <= 255:
        return values.clip(0).astype(np.uint8)
    return (values.clip(0, 65535) // 257).astype(np.uint8)


def _to_srgb(image: Image.Image) -> Image.Image:
    """Apply an embedded colour profile; a profile that is broken or of another mode is passed over."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in {"RGB", "RGBA", "CMYK", "L"}:
        return image
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, OSError):
        return image
    return converted or image
