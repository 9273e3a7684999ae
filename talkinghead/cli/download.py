"""The command `talkinghead download`."""

from __future__ import annotations

from typing import Annotated

import typer

from talkinghead.cli.options import Debug


def download(
    model: Annotated[str, typer.Argument(help="What to download: base, animals, landmarks (for base) or joyvasa.")],
    debug: Debug = False,
) -> None:
    """Download published weights, after showing their licence."""
    from talkinghead.cli.progress import ByteBar

    with ByteBar() as bar:
        from talkinghead.models import fetch_model

        folder = fetch_model(model, bar.say, bar.fetched)
    typer.echo(f"{model}: complete in {folder}")
