"""Read prepared clips and stills for the training of the renderer."""

from __future__ import annotations

import csv
from pathlib import Path

import av
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from liveportrait.mini.face_model import lip_ratio
from liveportrait.mini.regions import KEYPOINTS
from liveportrait.training.pairs import DETAILED, OPEN_STILL, SIDE, ClipSet
from liveportrait.writing import new_file
from talkinghead.face import FaceDetector, make_crop
from talkinghead.media.image import read_image

PERMISSIVE = ("MIT", "Apache-2.0", "BSD", "CC0", "CC BY 4.0")


def load_clips(data: Path, split: str, cache: Path, permissive_only: bool) -> ClipSet:
    """Decode a split once into a memory-mapped cache and read its landmarks.

    Args:
        data: Folder with train/, val/ and the landmark files.
        split: "train" or "val".
        cache: Folder for the decoded frames.
        permissive_only: Leave out clips that may not train weights which ship.
    """
    manifest = read_manifest(data / split)
    with np.load(data / f"landmarks_{split}.npz") as tracks:
        offsets, landmarks = tracks["offsets"], tracks["landmarks"]
    keep = [n for n, row in enumerate(manifest) if row["permissive"] == "yes" or not permissive_only]
    lengths = [int(offsets[n + 1] - offsets[n]) for n in keep]
    ends = np.cumsum([0, *lengths])
    points = np.concatenate([landmarks[offsets[n] : offsets[n + 1]] for n in keep]).astype(np.float32) / (SIDE / 2)
    points[..., :2] -= 1.0
    files = [data / split / manifest[n]["file"] for n in keep]
    frames = _decode(files, lengths, cache / f"{split}_{'permissive' if permissive_only else 'all'}.npy")
    bounds = list(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True))
    rows = [manifest[n] for n in keep]
    pixels = [float(row["face_px_source"]) for row in rows]
    return ClipSet(frames, torch.from_numpy(points), bounds, [row["identity"] for row in rows], pixels)


def load_stills(data: Path, cache: Path) -> ClipSet:
    """Find the faces with open mouths among the stills that may train weights which ship, once, and keep them.

    Nobody is among them whom the validation clips or the example inputs show. There may be no stills.
    """
    if not cache.exists():
        known = {row["identity"] for part in ("val", "inputs") for row in read_manifest(data / part)}
        stills = [row for row in read_manifest(data / "stills") if row["licence"].startswith(PERMISSIVE)]
        faces, pictures, points, names = FaceDetector(), [], [], []
        for row in (row for row in stills if row["identity"] not in known):
            picture = read_image(data / "stills" / row["file"])
            for face in faces.detect(picture)[:1]:
                crop, _ = make_crop(picture, face.landmarks)
                x = crop.landmarks[:, list(KEYPOINTS)]  # type: ignore[index]
                if float(lip_ratio(x)) > OPEN_STILL:
                    small = F.interpolate(crop.image, (SIDE, SIDE), mode="area")[0]
                    pictures.append((255 * small).round().byte().permute(1, 2, 0).numpy())
                    points.append(x[0].numpy())
                    names.append(row["identity"])
        cache.parent.mkdir(parents=True, exist_ok=True)
        stacked = np.asarray(pictures, np.uint8).reshape(-1, SIDE, SIDE, 3)
        places = np.asarray(points, np.float32).reshape(-1, len(KEYPOINTS), 3)
        np.savez(cache, pictures=stacked, points=places, names=np.array(names, str))
    with np.load(cache) as kept:
        pictures, points, names = kept["pictures"], torch.from_numpy(kept["points"]), kept["names"].tolist()
    bounds = [(n, n + 1) for n in range(len(names))]
    return ClipSet(torch.from_numpy(pictures), points, bounds, names, [DETAILED] * len(names))


def read_manifest(folder: Path) -> list[dict[str, str]]:
    """Read a folder's list of files; none for a folder that is not there."""
    if not folder.exists():
        return []
    with (folder / "manifest.csv").open() as file:
        return list(csv.DictReader(file))


def _decode(files: list[Path], lengths: list[int], cache: Path) -> Tensor:
    if not cache.exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        with new_file(cache, replace=True) as partial:
            store = np.lib.format.open_memmap(partial, "w+", np.uint8, (sum(lengths), SIDE, SIDE, 3))
            start = 0
            for file, length in zip(files, lengths, strict=True):
                with av.open(str(file)) as container:
                    for n, frame in zip(range(length), container.decode(video=0), strict=False):
                        store[start + n] = frame.to_ndarray(format="rgb24")
                start += length
            store.flush()
    return torch.from_numpy(np.load(cache, mmap_mode="c"))  # PyTorch needs a writable array
