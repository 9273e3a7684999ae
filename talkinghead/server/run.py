"""Run the server in this process until Ctrl-C or SIGTERM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from talkinghead.host.web import serve_until_signal
from talkinghead.options import ProvenanceOptions
from talkinghead.provenance.check import check_marks
from talkinghead.server.app import create_app
from talkinghead.server.options import ServerOptions

_CLOSING_SECONDS = 10
"""Time that open connections have to end."""


def serve(options: ServerOptions, announce: Callable[[str], None], provenance: ProvenanceOptions | None = None) -> None:
    """Serve until a signal.

    Args:
        options: Where to listen, and the limits.
        announce: Called with the address when the port is open.
        provenance: How videos are marked.

    Raises:
        OptionError: The address cannot be used.
        PortraitError: Videos cannot be marked as asked.
    """
    provenance = provenance or ProvenanceOptions()
    check_marks(provenance, Path("made.mp4"))
    serve_until_signal(
        options.host,
        options.port,
        lambda is_closing: create_app(options, is_closing=is_closing, provenance=provenance),
        announce,
        _CLOSING_SECONDS,
        ws_max_size=2_000_000,
    )
