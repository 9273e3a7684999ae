"""Collect windows around mouths, from portraits, stills and clips, into one file that `train.py mouths` reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import torch.nn.functional as F
import typer
from torch import Tensor

from liveportrait.mini.face_model import FaceModel, lip_ratio
from liveportrait.mini.patches import patch_points, sample
from liveportrait.mini.regions import KEYPOINTS
from liveportrait.mini.renderer import SEEN_SIZE
from liveportrait.training.mouths import CLIP, SHUT_STILL, STILL, WINDOW, MouthSet, window_frame
from liveportrait.training.pairs import DETAILED, OPEN_STILL, ClipSet
from liveportrait.writing import new_file
from talkinghead.dataset.clips import PERMISSIVE, load_clips, read_manifest
from talkinghead.dataset.portraits import is_validation, read_portraits
from talkinghead.face import FaceDetector, make_crop
from talkinghead.media.image import Picture, read_image
from talkinghead.models import embedded_model

FRAMES, CLIPS = 6, 10
"""Frames of a clip, from the least to the most open mouth, and most clips of one person."""

CLIP_WINDOW = 112
"""Side at which windows of clips are kept; their crops of 256 pixels show no more."""

QUALITY = 90  # of the JPEG pictures in the file
UNIT = 8192  # keypoints are kept in steps of a crop's half side over this


@dataclass(frozen=True)
class Window:
    """One mouth: RGB window and small crop, keypoints (K, 3), kind, group, and whether it validates."""

    picture: Picture
    small: Picture
    points: Tensor
    kind: int
    group: int
    held_out: bool


def cut_window(face: FaceModel, image: Tensor, points: Tensor, size: int) -> tuple[Picture, Picture]:
    """Cut the window around a mouth from a crop (1, 3, S, S) with keypoints (1, K, 3), and shrink the crop."""
    window = sample(image, patch_points(window_frame(face, points), size))
    return to_picture(window), to_picture(F.interpolate(image, (SEEN_SIZE, SEEN_SIZE), mode="area"))


def to_picture(picture: Tensor) -> Picture:
    """Convert (1, 3, H, W) in [0, 1] to (H, W, 3) uint8."""
    return (255 * picture[0]).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()


def still_windows(data: Path, face: FaceModel) -> Iterator[Window]:
    """Cut the open and the shut mouths of portraits and stills from which weights that ship may learn."""
    crops = [(name, crop, is_validation(name)) for name, crop in read_portraits(data / "portraits", held_out=False)]
    known = {row["identity"] for part in ("val", "inputs") for row in read_manifest(data / part)}
    faces = FaceDetector()
    for row in read_manifest(data / "stills"):
        if row["licence"].startswith(PERMISSIVE) and row["identity"] not in known:
            picture = read_image(data / "stills" / row["file"])
            for found in faces.detect(picture)[:1]:
                crops.append((row["id"], make_crop(picture, found.landmarks)[0], False))
    for number, (_, crop, validates) in enumerate(crops):
        x = crop.landmarks[:, list(KEYPOINTS)]  # type: ignore[index]
        if not SHUT_STILL <= float(lip_ratio(x)) <= OPEN_STILL:
            yield Window(*cut_window(face, crop.image, x, WINDOW), x[0], STILL, number, validates)


def clip_windows(clips: ClipSet, face: FaceModel) -> Iterator[Window]:
    """Cut frames of clips, from the least to the most open mouth; of each person the clips with the largest faces."""
    taken: dict[str, int] = {}
    order = sorted(range(len(clips.bounds)), key=lambda n: -min(clips.face_pixels[n], DETAILED))
    for clip in order:
        who = clips.identities[clip]
        taken[who] = taken.get(who, 0) + 1
        if taken[who] > CLIPS:
            continue
        start, end = clips.bounds[clip]
        by_openness = start + lip_ratio(clips.points[start:end])[:, 0].argsort()
        places = torch.linspace(0, end - start - 1, FRAMES).round().long()
        for n in by_openness[places].tolist():
            image = clips.frames[n].permute(2, 0, 1)[None].float() / 255
            x = clips.points[n : n + 1]
            yield Window(*cut_window(face, image, x, CLIP_WINDOW), x[0], CLIP, clip, False)


def write_mouths(windows: Iterator[Window], file: Path) -> int:
    """Write windows to a file and return how many there are."""
    found = list(windows)
    pictures = [_jpeg(picture) for one in found for picture in (one.picture, one.small)]
    points = torch.stack([one.points for one in found])
    with new_file(file, replace=True) as partial, partial.open("wb") as stream:
        np.savez_compressed(
            stream,
            jpeg=np.concatenate(pictures),
            ends=np.cumsum([len(one) for one in pictures]),
            points=(points * UNIT).round().short().numpy(),
            kinds=np.array([one.kind for one in found], np.uint8),
            groups=np.array([one.group for one in found], np.int32),
            held_out=np.array([one.held_out for one in found], bool),
        )
    return len(found)


def read_mouths(file: Path) -> MouthSet:
    """Read a file of `write_mouths`."""
    with np.load(file) as stored:
        parts = np.split(stored["jpeg"], stored["ends"][:-1])
        values = {name: torch.from_numpy(stored[name]) for name in ("points", "kinds", "groups", "held_out")}
    windows, small = (_decoded(parts[n::2], side) for n, side in ((0, WINDOW), (1, SEEN_SIZE)))
    return MouthSet(
        windows,
        small,
        values["points"].float() / UNIT,
        values["kinds"].long(),
        values["groups"].long(),
        values["held_out"],
    )


def _jpeg(picture: Picture) -> Picture:
    return cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]


def _decoded(parts: list[Picture], side: int) -> Tensor:
    """Decode JPEG pictures to (N, 3, side, side)."""
    pictures = [cv2.cvtColor(cv2.imdecode(part, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB) for part in parts]
    resized = [cv2.resize(p, (side, side), interpolation=cv2.INTER_CUBIC) if len(p) != side else p for p in pictures]
    return torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).contiguous()


def mouths(
    data: Annotated[Path, typer.Argument(help="Folder with train/ and portraits/, perhaps stills/.")],
    output: Annotated[Path, typer.Option(help="File to write (.npz).")],
) -> None:
    """Collect mouths from portraits, stills and clips, for `train.py mouths`."""
    face = embedded_model("mini").renderer.face
    clips = load_clips(data, "train", output.parent / "cache", permissive_only=True)
    stills = list(still_windows(data, face))
    count = write_mouths(iter([*stills, *clip_windows(clips, face)]), output)
    typer.echo(f"{output}: {count} mouths, {len(stills)} of them from single pictures")
