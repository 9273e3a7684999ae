"""Read pictures as people mean them: upright, in sRGB, on a white ground, eight bits."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from talkinghead.errors import ImageError
from talkinghead.media.files import new_output, require_file
from talkinghead.media.picture_formats import MAX_JPEG_PIXELS, is_still_picture, open_picture

Picture = NDArray[np.uint8]

PICTURE_SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
"""How pictures may be written."""


def read_image(path: str | os.PathLike[str]) -> Picture:
    """Read a picture.

    Args:
        path: PNG, JPEG, WebP, HEIC, AVIF, BMP, TIFF or GIF; of several pictures in it the first.

    Returns:
        RGB, shape (H, W, 3): turned as its EXIF says, brought to sRGB if it has a colour profile, transparent
        parts laid on white, 16 bits brought to 8.

    Raises:
        InputNotFoundError: There is no such file.
        ImageError: It is a folder, no picture, broken, or larger than 200 megapixels (JPEG) or 100 (all others).
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
        except Exception as error:  # whatever a broken file makes a decoder raise
            raise ImageError(f"{file}: the picture is damaged ({error}); export it again") from error


def is_still(path: str | os.PathLike[str]) -> bool:
    """Tell a picture, even a damaged one, from everything else; animations count as videos.

    Raises:
        InputNotFoundError: There is no such file.
        ImageError: It is a folder, empty, or may not be read.
    """
    return is_still_picture(require_file(path, ImageError))


def write_image(picture: Picture, file: Path, *, overwrite: bool = False) -> None:
    """Write a picture, complete or not at all; its name says how it is coded.

    Raises:
        OutputError: It cannot be written there.
    """
    with new_output(file, overwrite=overwrite) as partial:
        Image.fromarray(picture).save(partial, format=PICTURE_SUFFIXES[file.suffix.lower()], quality=95)


def check_picture(picture: object) -> Picture:
    """Make sure that an array is a picture.

    Returns:
        The picture, in one piece of memory.

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
    """Shrink a picture until its longer side is at most `longest` pixels; smaller pictures stay as they are."""
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
        converted = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode=mode, inPlace=image.mode == mode
        )
    except (ImageCms.PyCMSError, OSError):
        return image
    return converted or image
