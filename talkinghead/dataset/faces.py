"""Turn prepared clips and stills into the face pictures that LivePortrait's training reads, one file for each."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import typer
from torch import Tensor

from liveportrait.config import CROP_SCALE
from liveportrait.mini.face_model import FaceModel, embedded_face_model
from liveportrait.mini.regions import KEYPOINTS
from liveportrait.training.faces import POINTS, FaceClip, write_clip
from talkinghead.dataset.clips import PERMISSIVE
from talkinghead.dataset.edits import StillEditor
from talkinghead.errors import InputNotFoundError
from talkinghead.face import CropFrame, FaceDetector, cut, make_crop
from talkinghead.face.crop import SOURCE_CROP, FaceRect, face_rect
from talkinghead.face.mesh import NUM_POINTS
from talkinghead.media.image import Picture, read_image
from talkinghead.media.video import read_frames
from talkinghead.models import load_models

CLIP_SIDE = 256
FREE = tuple(name.lower() for name in (*PERMISSIVE, "public domain"))
COLUMNS = [KEYPOINTS.index(point) for point in POINTS]


@dataclass(frozen=True)
class Form:
    """How pictures are stored and what a frontal face is.

    Attributes:
        face: Mean face that gives head poses.
        size: Side of the pictures.
        quality: Of the JPEGs.
        crop_scale: Side of the pictures over the size of the face, at most CROP_SCALE; smaller if the pictures given
            show less.
    """

    face: FaceModel
    size: int
    quality: int
    crop_scale: float = CROP_SCALE

    def clip(
        self, pictures: Iterable[Picture], points: Tensor, identity: str, *, permissive: bool, still: bool = False
    ) -> FaceClip:
        """Encode pictures, measure head poses and keep the landmarks that training needs.

        The pose is the least-squares similarity between the rigid landmarks and those of a mean face, as in MediaPipe's
        facial transformation matrix.

        Args:
            pictures: Crops by `SOURCE_CROP`, RGB, (H, W, 3).
            points: Landmarks KEYPOINTS, shape (T, 162, 3), ±1 at the crops' edges.
            identity: Who it shows.
            permissive: Whether it may train weights that ship.
            still: Whether the pictures were made from the first.
        """
        centre, side = self._square(points[:1] if still else points)
        jpegs = [self._encode(picture, centre, side) for picture in pictures]
        points = points[: len(jpegs)]
        landmarks, rotation = (points[:, COLUMNS, :2] - centre) * (2 / side), self.face.pose(points).rotation
        return FaceClip(jpegs, landmarks, rotation, identity, permissive, still, self.crop_scale)

    def _square(self, points: Tensor) -> tuple[Tensor, float]:
        """Return centre (2,) and side of the square by `SOURCE_CROP` around a clip's typical face, upright.

        It is moved and shrunk so that it lies inside the pictures.
        """
        rule = SOURCE_CROP.for_model(self.crop_scale)
        marks = np.zeros((len(points), NUM_POINTS, 2), np.float32)
        marks[:, list(KEYPOINTS)] = points[..., :2].numpy()
        rects = [face_rect(each, rule.scale, rule.vy_ratio) for each in marks]
        side = min(float(np.median([rect.size for rect in rects])), 2.0)
        centre = np.median([rect.center for rect in rects], axis=0)
        return torch.from_numpy(centre).float().clamp(side / 2 - 1, 1 - side / 2), side

    def _encode(self, picture: Picture, centre: Tensor, side: float) -> Tensor:
        """Encode a square of a square picture; its centre and side are in units of half the picture's side."""
        half = len(picture) / 2
        part = half * side
        middle = (1 + centre.numpy()) * half + (part / self.size - 1) / 2  # pixels have their places in their middle
        place = CropFrame.around(FaceRect(middle, part, 0.0), self.size, rotate=False)
        _, data = cv2.imencode(".jpg", cut(picture, place)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, self.quality])
        return torch.from_numpy(data)


def read_rows(folder: Path) -> list[dict[str, str]]:
    """Read a folder's manifest.

    Raises:
        InputNotFoundError: There is none.
    """
    file = folder / "manifest.csv"
    if not file.is_file():
        raise InputNotFoundError(f"{file}: no such file; docs/data_format.md describes it")
    with file.open() as stream:
        return list(csv.DictReader(stream))


def write_clips(data: Path, split: str, output: Path, every: int, form: Form) -> tuple[int, int]:
    """Write every clip of a split with each nth of its frames; return how many there are and how many were new."""
    with np.load(data / f"landmarks_{split}.npz") as tracks:
        offsets, landmarks = tracks["offsets"], tracks["landmarks"]
    table, new = read_rows(data / split), 0
    for number, row in enumerate(table):
        file = output / split / f"clip_{number:06}.safetensors"
        if file.exists():
            continue
        points = landmarks[offsets[number] : offsets[number + 1] : every].astype(np.float32) / (CLIP_SIDE / 2)
        points[..., :2] -= 1
        frames = islice(read_frames(data / split / row["file"]), 0, None, every)
        pictures = (frame.picture for frame, _ in zip(frames, points, strict=False))
        permissive = row["permissive"] == "yes"
        write_clip(file, form.clip(pictures, torch.from_numpy(points), row["identity"], permissive=permissive))
        new += 1
    return len(table), new


def write_stills(folder: Path, output: Path, known: set[str], form: Form, editor: StillEditor | None) -> int:
    """Write every still in which a face is found, of people who are not `known`; return how many are new.

    Args:
        folder: Holds the stills and their manifest.
        output: Folder for the face pictures.
        known: People who are left out, because models are tested on them.
        form: How pictures are stored.
        editor: Makes the edited versions; None for none.
    """
    faces, new = FaceDetector(), 0
    for row in read_rows(folder):
        file = output / "train" / f"still_{folder.name}_{Path(row['file']).stem}.safetensors"
        if row["identity"] in known or file.exists():
            continue
        picture = read_image(folder / row["file"])
        for found in faces.detect(picture)[:1]:
            crop, _ = make_crop(picture, found.landmarks)
            shown = (255 * crop.image[0]).round().byte().permute(1, 2, 0).numpy()
            own = shown, crop.landmarks[0, list(KEYPOINTS)].float()  # type: ignore[index]
            edited = () if editor is None else editor.versions(shown, file.stem)
            pictures, points = zip(own, *edited, strict=True)
            free = row["licence"].lower().startswith(FREE)
            write_clip(file, form.clip(pictures, torch.stack(points), row["identity"], permissive=free, still=True))
            new += 1
    return new


def faces(
    data: Annotated[Path, typer.Argument(help="Folder that `prepare.py clips` wrote.")],
    output: Annotated[Path, typer.Option(help="Folder for the face pictures; a second run adds what is missing.")],
    stills: Annotated[list[Path], typer.Option(help="Folder of pictures with a manifest; repeatable.")] = [],  # noqa: B006
    size: Annotated[int, typer.Option(help="Side of the pictures: twice what the networks read.", min=32)] = 512,
    every: Annotated[int, typer.Option(help="Keep one of so many frames.", min=1)] = 5,
    edits: Annotated[int, typer.Option(help="Add so many edited versions to each new still.", min=0)] = 0,
    quality: Annotated[int, typer.Option(help="Quality of the JPEGs.", min=1, max=100)] = 92,
    crop_scale: Annotated[
        float, typer.Option(help="Side of the pictures over the size of the face.", min=1.5, max=CROP_SCALE)
    ] = CROP_SCALE,
) -> None:
    """Write the face pictures that LivePortrait's training reads, from clips and stills."""
    form = Form(embedded_face_model(), size, quality, crop_scale)
    editor = StillEditor(load_models("mini"), edits) if edits else None
    for split in ("val", "train"):
        total, new = write_clips(data, split, output, every, form)
        typer.echo(f"{output / split}: {total} clips, {new} of them new")
    tested = [part for part in ("val", "inputs") if (data / part / "manifest.csv").is_file()]
    known = {row["identity"] for part in tested for row in read_rows(data / part)}
    for folder in stills:
        new = write_stills(folder, output, known, form, editor)
        typer.echo(f"{output / 'train'}: {new} new stills of {folder}")
