"""Options that several evaluation commands share, and what they stand for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from talkinghead.errors import InputNotFoundError
from talkinghead.evaluation.networks import Networks, load_networks, missing
from talkinghead.inputs.settings import Checked, setting
from talkinghead.media.files import check_output
from talkinghead.models import Models, load_models
from talkinghead.options import MODEL

Clips = Annotated[Path, typer.Argument(help="Folder of video clips, one face each.")]
Every = Annotated[int, typer.Option(help="Judge one of so many frames.", min=1)]
Most = Annotated[int | None, typer.Option(help="Judge at most so many frames of a clip.", min=1)]


@dataclass(frozen=True)
class RunOptions(Checked):
    """Which model is judged on how much, and where its figures go."""

    model: str = setting(MODEL, "mini, base, animals or a directory.")
    device: str = setting("auto", "Where the model runs: auto, cpu, cuda ...")
    limit: int | None = setting(None, "Use only the first so many clips.", 1)
    kept: str | None = setting(
        None, "Folder for what was measured; clips that are in it are not measured again.", names_file=bool
    )
    minutes: float | None = setting(None, "Begin no further clip after this time; run again to go on.", 0)
    output: str | None = setting(None, "Write the figures to this file.", names_file=bool, flag="json")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_figures_file(self.output)

    def load(self) -> Models:
        """Load the model, as every other command does."""
        return load_models(self.model, self.device)


def check_figures_file(output: str | Path | None) -> None:
    """Check, before anything is measured, that figures can be written to a file.

    Raises:
        OutputError: They cannot.
    """
    if output is not None:
        check_output(output, what="figures", suffixes=(".json",), overwrite=True)


@dataclass(frozen=True)
class LookOptions(Checked):
    """The networks that look at pictures."""

    perception: str | None = setting(
        None, "Network of `prepare.py perception`: LPIPS, and FID on its VGG-16.", names_file=bool
    )
    fid_network: str | None = setting(
        None,
        "TorchScript network for FID instead: pictures (T, 3, 256, 256) in 0 to 1 to features (T, D).",
        names_file=bool,
    )

    def load(self, *, pictures: bool = True) -> Networks:
        """Load the networks, and say which figures are left out for want of one.

        Args:
            pictures: Whether LPIPS and FID are wanted at all.
        """
        perception, fid = (Path(file) if file else None for file in (self.perception, self.fid_network))
        networks = load_networks(perception, fid)
        for line in missing(networks, pictures=pictures):
            typer.echo(line, err=True)
        return networks


@dataclass(frozen=True)
class Settings:
    """The shared options of a command."""

    run: RunOptions = field(default_factory=RunOptions)
    look: LookOptions = field(default_factory=LookOptions)


def clips_in(folder: Path, limit: int | None) -> Iterator[Path]:
    """List a folder's videos by name.

    Raises:
        InputNotFoundError: There is no such folder.
    """
    if not folder.is_dir():
        raise InputNotFoundError(f"{folder}: no such folder; give one with video clips")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".mp4", ".mov", ".mkv", ".webm"))
    if not found:
        raise InputNotFoundError(f"{folder}: no video clips in it; give a folder of mp4, mov, mkv or webm files")
    yield from found[:limit]


def clips_with_next(folder: Path, limit: int | None) -> Iterator[tuple[Path, Path]]:
    """Yield each of a folder's videos with the next one, the last with the first; only the first `limit` pairs."""
    everything = list(clips_in(folder, None))
    return islice(zip(everything, everything[1:] + everything[:1], strict=True), limit)
