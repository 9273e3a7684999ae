"""Run the server in this process until Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from talkinghead.errors import OptionError
from talkinghead.server.app import create_app
from talkinghead.server.options import ServerOptions

_MOST_CONNECTIONS = 256
_CLOSING_SECONDS = 10
"""Time that open connections have to end."""


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End normally at a signal; uvicorn would raise it again afterwards."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def serve(options: ServerOptions, announce: Callable[[str], None]) -> None:
    """Serve until a signal.

    Args:
        options: Where to listen, and the limits.
        announce: Called with the address when the port is open.

    Raises:
        OptionError: The address cannot be used.
    """
    try:
        family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
        listener = socket.create_server((options.host, options.port), family=family)
    except OSError as error:
        raise OptionError(
            f"cannot listen on {options.host}:{options.port} ({error.strerror}): give another --port or --host"
        ) from None
    with listener:
        app = create_app(options, is_closing=lambda: server.should_exit)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_CLOSING_SECONDS,
            ws_max_size=2_000_000,
            limit_concurrency=_MOST_CONNECTIONS,
        )
        server = _Server(config)
        host = f"[{options.host}]" if ":" in options.host else options.host
        announce(f"http://{host}:{listener.getsockname()[1]}")
        server.run(sockets=[listener])
