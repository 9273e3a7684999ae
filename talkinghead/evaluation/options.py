"""Options that several evaluation commands share, and what they stand for."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from talkinghead.errors import InputNotFoundError
from talkinghead.evaluation.networks import Networks, load_networks, missing

Clips = Annotated[Path, typer.Argument(help="Folder of video clips, one face each.")]
Model = Annotated[str, typer.Option(help="mini, base, animals or a directory.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write the figures here.")]
Limit = Annotated[int | None, typer.Option(help="Use only the first so many clips.")]
Perception = Annotated[
    Path | None, typer.Option(help="Network of `prepare.py perception`: LPIPS, and FID on its VGG-16.")
]
FidNetwork = Annotated[
    Path | None,
    typer.Option(help="TorchScript network for FID instead: pictures (T, 3, 256, 256) in 0 to 1 to features (T, D)."),
]
Every = Annotated[int, typer.Option(help="Judge one of so many frames.", min=1)]
Most = Annotated[int | None, typer.Option(help="Judge at most so many frames of a clip.", min=1)]
Device = Annotated[str, typer.Option(help="Where the model runs: auto, cpu, cuda ...")]
Kept = Annotated[
    Path | None, typer.Option(help="Folder for what was measured; clips that are in it are not measured again.")
]
Minutes = Annotated[float, typer.Option(help="Begin no further clip after this time; run again to go on.")]


def clips_in(folder: Path, limit: int | None) -> Iterator[Path]:
    """List a folder's videos by name.

    Raises:
        InputNotFoundError: There is no such folder.
    """
    if not folder.is_dir():
        raise InputNotFoundError(f"{folder}: no such folder; give one with video clips")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".mp4", ".mov", ".mkv", ".webm"))
    if not found:
        raise typer.BadParameter(f"{folder}: no video clips in it")
    yield from found[:limit]


def clips_with_next(folder: Path, limit: int | None) -> Iterator[tuple[Path, Path]]:
    """Yield each of a folder's videos with the next one, the last with the first; only the first `limit` pairs."""
    everything = list(clips_in(folder, None))
    return islice(zip(everything, everything[1:] + everything[:1], strict=True), limit)


def looking(perception: Path | None, fid_network: Path | None, *, pictures: bool = True) -> Networks:
    """Load the networks that look at pictures, and say which figures are left out for want of one.

    Args:
        perception: File of `prepare.py perception`.
        fid_network: TorchScript file.
        pictures: Whether LPIPS and FID are wanted at all.
    """
    networks = load_networks(perception, fid_network)
    for line in missing(networks, pictures=pictures):
        typer.echo(line, err=True)
    return networks
