"""Read pictures as 8-bit sRGB, upright and on a white background, and write them."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, ImageSequence

from talkinghead.errors import ImageError
from talkinghead.media.files import require_file
from talkinghead.media.picture_formats import MAX_JPEG_PIXELS, is_still_picture, open_picture

Picture = NDArray[np.uint8]

PICTURE_SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
"""Suffixes of pictures that can be written, and Pillow's names of their formats."""


def read_image(path: str | os.PathLike[str]) -> Picture:
    """Read a picture.

    Args:
        path: PNG, JPEG, WebP, HEIC, AVIF, BMP, TIFF or GIF; if it has several pictures, the first one is read.

    Returns:
        RGB, shape (H, W, 3): rotated by its EXIF data, converted to sRGB if it has a colour profile and from 16 to
        8 bits, with transparent parts on white.

    Raises:
        InputNotFoundError: The file does not exist.
        ImageError: It is not a picture, is damaged, or has more than 200 megapixels (JPEG) or 100 (all others).
    """
    file = require_file(path, ImageError)
    with open_picture(file) as image:
        width, height = image.size
        try:
            image.load()
            with suppress(ValueError, KeyError, SyntaxError):  # broken EXIF data
                ImageOps.exif_transpose(image, in_place=True)
            return np.array(_to_rgb(image))
        except MemoryError:
            raise ImageError(f"{file}: {width} × {height} pixels do not fit into memory") from None
        except Exception as error:  # decoders raise many kinds of errors for damaged files
            raise ImageError(f"{file}: the picture is damaged ({error}); export it again") from error


def read_animation(path: str | os.PathLike[str]) -> Iterator[Picture]:
    """Yield the pictures of an animation, each as `read_image` returns it; a damaged one ends where the damage is.

    Raises:
        InputNotFoundError: The file does not exist.
        ImageError: None of its pictures can be read.
    """
    file = require_file(path, ImageError)
    count = 0
    with open_picture(file) as image:
        try:
            for frame in ImageSequence.Iterator(image):
                picture = np.array(_to_rgb(frame.copy()))
                count += 1
                yield picture
        except Exception as error:  # as in `read_image`
            if not count:
                raise ImageError(f"{file}: the animation is damaged ({error}); export it again") from error


def is_still(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is a picture, even a damaged one; animations count as videos.

    Raises:
        InputNotFoundError: The file does not exist.
        ImageError: It is a folder, empty, or not readable.
    """
    return is_still_picture(require_file(path, ImageError))


def check_picture(picture: object) -> Picture:
    """Check that an array is a picture.

    Returns:
        The picture as a contiguous array.

    Raises:
        ImageError: It is not RGB, uint8, shape (H, W, 3), or has no pixels or too many.
    """
    if not isinstance(picture, np.ndarray):
        found = type(picture).__name__
    elif picture.dtype == np.uint8 and picture.shape[2:] == (3,) and 0 < picture.size <= 3 * MAX_JPEG_PIXELS:
        return np.ascontiguousarray(picture)
    else:
        found = f"{picture.dtype} of shape {picture.shape}"
    raise ImageError(f"a picture must be a uint8 RGB array of shape (height, width, 3), not {found}")


def limit_size(picture: Picture, longest: int) -> Picture:
    """Shrink a picture so that its longer side is at most `longest` pixels; smaller pictures are unchanged."""
    height, width = picture.shape[:2]
    ratio = longest / max(height, width)
    return picture if ratio >= 1 else resize(picture, max(round(width * ratio), 1), max(round(height * ratio), 1))


def resize(picture: Picture, width: int, height: int) -> Picture:
    """Resample a picture without aliasing."""
    return np.array(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB on white."""
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        image = Image.fromarray(_eight_bits(np.asarray(image)))
    image = _to_srgb(image)
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    image = image.convert("RGBA")
    background = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(background, image).convert("RGB")


def _eight_bits(values: NDArray) -> Picture:
    """Convert gray values to 0..255, from 16-bit integers (unless all are small) or from floats up to 1 or 255."""
    if values.dtype.kind == "f":
        return np.nan_to_num(values * (255 if np.nanmax(values) <= 1 else 1)).clip(0, 255).round().astype(np.uint8)
    if values.dtype != np.uint16 and values.max() <= 255:
        return values.clip(0).astype(np.uint8)
    return (values.clip(0, 65535) // 257).astype(np.uint8)


def _to_srgb(image: Image.Image) -> Image.Image:
    """Apply an embedded colour profile; ignore one that is damaged or of another mode."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in {"RGB", "RGBA", "CMYK", "L"}:
        return image
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode=mode, inPlace=image.mode == mode
        )
    except (ImageCms.PyCMSError, OSError):
        return image
    return converted or image
