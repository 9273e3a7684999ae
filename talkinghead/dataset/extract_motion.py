"""Extract the motion of prepared clips with an official model: what the motion generator learns from."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Annotated

import torch
import typer

from audio2motion.config import FRAME_SAMPLES
from audio2motion.flow.codec import to_numbers
from liveportrait import Crop, LivePortrait, Motion, PortraitModel
from talkinghead.dataset.motion_cache import CachedClip, CacheError, read_clip, read_manifest, write_clip
from talkinghead.dataset.speech import decode_sound
from talkinghead.media.image import Picture
from talkinghead.media.video import read_frames
from talkinghead.models import choose_device

BATCH = 16


@torch.inference_mode()
def read_motion(model: PortraitModel, pictures: Iterable[Picture], device: torch.device) -> Motion:
    """Read the motion of face crops, (H, W, 3) each."""
    parts, left = [], iter(pictures)
    while some := list(islice(left, BATCH)):
        images = torch.stack([torch.from_numpy(picture) for picture in some]).permute(0, 3, 1, 2).float() / 255
        parts.append(model.extract(Crop(images.to(device), None)).to("cpu"))
    return Motion.cat(parts)


def extract(folder: Path, output: Path, name: str, model: PortraitModel, device: torch.device) -> tuple[int, int]:
    """Extract one split; returns how many clips there are and how many were new."""
    rows, new = read_manifest(folder), 0
    for row in rows:
        file = output / f"{row['id']}.safetensors"
        if file.exists() and read_clip(file).model == name:
            continue
        clip = folder / row["file"]
        motion = read_motion(model, (frame.picture for frame in read_frames(clip)), device)
        sound = decode_sound(clip, len(motion) * FRAME_SAMPLES)
        numbers = to_numbers(motion)
        write_clip(file, CachedClip(numbers, sound, row["identity"], row["permissive"] == "yes", name))
        new += 1
    return len(rows), new


def motion(
    data: Annotated[Path, typer.Argument(help="Folder that `prepare.py clips` wrote.")],
    output: Annotated[Path, typer.Option(help="Folder for the motion.")],
    model: Annotated[str, typer.Option(help="base, animals, or a folder of such a model.")] = "base",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda ...")] = "auto",
) -> None:
    """Extract the motion of prepared clips with an official model, one file per clip with a voice."""
    place = choose_device(device)
    network = LivePortrait.from_pretrained(model).to(place)
    if network.extracts_from_landmarks:
        raise CacheError(f"model {model!r} learns from landmarks with `train.py speech`; give base or animals")
    for split in ("train", "val"):
        total, new = extract(data / split, output / split, model, network, place)
        typer.echo(f"{output / split}: {total} clips, {new} of them new")
