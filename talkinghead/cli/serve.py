"""The command `talkinghead serve`."""

from __future__ import annotations

from dataclasses import dataclass, field

import typer

from talkinghead.cli.options import Debug, takes
from talkinghead.errors import OptionError
from talkinghead.options import ProvenanceOptions
from talkinghead.server.options import ServerOptions


@dataclass(frozen=True)
class _Given:
    server: ServerOptions = field(default_factory=ServerOptions)
    provenance: ProvenanceOptions = field(default_factory=ProvenanceOptions)


@takes(ServerOptions, ProvenanceOptions, into=_Given)
def serve(options: _Given, debug: Debug = False) -> None:
    """Serve videos and live avatars over HTTP, with a demo page."""
    try:
        from talkinghead.server.run import serve as run
    except ImportError as error:
        raise OptionError(f'the server needs more packages ({error}): pip install "talkinghead[serve]"') from None
    run(
        options.server,
        lambda address: typer.echo(f"Talkinghead listens at {address}; Ctrl-C ends it", err=True),
        options.provenance,
    )
