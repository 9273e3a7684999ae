"""Turn a folder of pictures into stills to train on, beside the footage: photos, paintings, drawings, renderings."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from liveportrait.errors import PortraitError
from liveportrait.writing import partial_name
from talkinghead.dataset.looks import spoiled
from talkinghead.dataset.people import name_people
from talkinghead.dataset.tracking import SMALLEST
from talkinghead.dataset.writing import write_manifest
from talkinghead.errors import InputNotFoundError, OutputExistsError
from talkinghead.face import FaceDetector
from talkinghead.face.crop import Array, Picture, face_rect
from talkinghead.face.quality import face_quality
from talkinghead.face.recognise import FaceRecogniser
from talkinghead.media.image import limit_size, read_image
from talkinghead.media.picture_formats import PICTURE_ENDINGS

KEPT = 3.0
"""Side of what is kept around a face, in units of it: more than a crop, so that training can turn and shift it."""

LONGEST = 768  # pixels of a still's longer side

QUALITY = 95  # of the JPEGs


@dataclass(frozen=True)
class Still:
    """A row of the manifest; names are its columns."""

    id: str
    file: str
    identity: str
    licence: str
    face_px_source: int
    sharpness: float
    blockiness: float
    clipped: float
    source_path: str


def prepare_stills(folder: Path, output: Path, licence: str, *, recognise: bool = True) -> tuple[int, dict[Path, str]]:
    """Write the pictures of a folder that show a face well, complete or not at all.

    Args:
        folder: Of pictures.
        output: To write.
        licence: Of the pictures.
        recognise: Whether to tell people apart by their faces; otherwise each picture shows somebody else.

    Returns:
        How many were written, and why the others were not.

    Raises:
        InputNotFoundError: There is no picture.
        OutputExistsError: The folder to write exists.
    """
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in PICTURE_ENDINGS)
    if not files:
        raise InputNotFoundError(f"{folder}: no pictures here; give a folder with jpg, png or webp files")
    if output.exists():
        raise OutputExistsError(f"{output}: exists; give another folder, or remove it")
    faces, network = FaceDetector(), FaceRecogniser() if recognise else None
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(partial_name(output))
    partial.mkdir()
    rows: list[Still] = []
    people: list[tuple[str, Array | None]] = []
    left: dict[Path, str] = {}
    try:
        for file in files:
            found = _take(file, faces, network)
            if isinstance(found, str):
                left[file] = found
                continue
            crop, size, quality, person = found
            name = f"{len(rows):05}"
            cv2.imwrite(str(partial / f"{name}.jpg"), crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            rounded = {key: round(value, 3) for key, value in quality.items()}
            rows.append(Still(name, f"{name}.jpg", "", licence, round(size), source_path=str(file), **rounded))
            people.append((file.stem, person))
        named = [replace(row, identity=person) for row, person in zip(rows, name_people(people), strict=True)]
        write_manifest(partial / "manifest.csv", named, Still)
        partial.rename(output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return len(rows), left


def _take(
    file: Path, faces: FaceDetector, network: FaceRecogniser | None
) -> tuple[Picture, float, dict[str, float], Array | None] | str:
    """Return a picture's crop, the size of its face, its quality and who it is; or why it is left out."""
    try:
        picture = read_image(file)
    except PortraitError as error:
        return str(error)
    face = max(faces.detect(picture), key=lambda each: each.size, default=None)
    if face is None:
        return "no face found"
    if face.size < SMALLEST:
        return f"the face measures {face.size:.0f} pixels, at least {SMALLEST:.0f} are needed"
    quality = face_quality(picture, face.landmarks)
    if fault := spoiled(quality["blockiness"], quality["clipped"]):
        return fault
    person = None if network is None else network.describe(picture, face.landmarks)
    return surroundings(picture, face.landmarks), face.size, quality, person


def surroundings(picture: Picture, landmarks: Array) -> Picture:
    """Return the part of a picture around a face, shrunk if it is large; nothing is made up beyond its edges."""
    square = face_rect(landmarks, KEPT)
    left, top = np.maximum(square.center - square.size / 2, 0).astype(int)
    right, bottom = (square.center + square.size / 2).astype(int)
    return limit_size(np.ascontiguousarray(picture[top:bottom, left:right]), LONGEST)


def stills(
    folder: Annotated[Path, typer.Argument(help="Folder of pictures, one person each.")],
    output: Annotated[Path, typer.Option(help="Folder to write: CLIPS/stills is read by training.")],
    licence: Annotated[str, typer.Option(help='Of the pictures: "CC0", "MIT", "public domain" ...')],
    recognise: Annotated[
        bool, typer.Option(help="Tell people apart by their faces; otherwise each picture shows somebody else.")
    ] = True,
) -> None:
    """Turn a folder of pictures into stills to train on, mixed with the clips."""
    written, left = prepare_stills(folder, output, licence, recognise=recognise)
    for file, reason in left.items():
        typer.echo(f"{file}: left out: {reason}")
    typer.echo(f"{output}: {written} stills, {len(left)} pictures left out")
