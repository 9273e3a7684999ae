"""The command `talkinghead ui`."""

from __future__ import annotations

from dataclasses import dataclass, field

import typer

from talkinghead.cli.options import Debug, takes
from talkinghead.errors import OptionError
from talkinghead.studio.options import StudioOptions


@dataclass(frozen=True)
class _Given:
    studio: StudioOptions = field(default_factory=StudioOptions)


@takes(StudioOptions, into=_Given)
def ui(options: _Given, debug: Debug = False) -> None:
    """Open the studio: a page in the browser for everything that the commands do."""
    try:
        import gradio  # noqa: F401

        from talkinghead.studio.run import serve
    except ImportError as error:
        raise OptionError(f'the studio needs more packages ({error}): pip install "talkinghead[ui]"') from None
    serve(options.studio, lambda address: typer.echo(f"The studio is at {address}; Ctrl-C ends it", err=True))
