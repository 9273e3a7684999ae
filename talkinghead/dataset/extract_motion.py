"""Read the motion of prepared clips with an official model, once: what the motion generator learns from.

    python talkinghead/dataset/extract_motion.py clips --output motion --model base

Writes one file per clip whose voice is heard; clips that are there already are not read again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Annotated

import torch
import typer
from talkinghead.dataset.motion_cache import CachedClip, CacheError, read_clip, read_manifest, write_clip
from audio2motion.training.speech_tracks import FRAME_SAMPLES, decode_sound

from audio2motion.flow.codec import to_numbers
from liveportrait import Crop, LivePortrait, Motion, PortraitModel
from liveportrait.errors import PortraitError
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


def main(
    data: Annotated[Path, typer.Argument(help="Folder that prepare_clips.py wrote.")],
    output: Annotated[Path, typer.Option(help="Folder for the motion.")],
    model: Annotated[str, typer.Option(help="base, animals, or a folder of such a model.")] = "base",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda ...")] = "auto",
) -> None:
    """Extract the motion of train/ and val/."""
    try:
        place = choose_device(device)
        network = LivePortrait.from_pretrained(model).to(place)
        if network.extracts_from_landmarks:
            raise CacheError(f"model {model!r} learns from landmarks with train_audio2motion.py; give base or animals")
        for split in ("train", "val"):
            total, new = extract(data / split, output / split, model, network, place)
            print(f"{output / split}: {total} clips, {new} of them new")
    except PortraitError as error:
        print(f"extract_motion: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    typer.run(main)
