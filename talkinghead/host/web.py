"""Listen on an address of this machine and serve an application there until a signal. Needs uvicorn."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from talkinghead.errors import OptionError

_MOST_CONNECTIONS = 256


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


def serve_until_signal(
    host: str,
    port: int,
    make_app: Callable[[Callable[[], bool]], Any],
    announce: Callable[[str], None],
    closing_seconds: int,
    **settings: Any,
) -> None:
    """Serve an application until Ctrl-C or SIGTERM.

    Args:
        host: The address to listen on.
        port: The port; 0 chooses a free one.
        make_app: Makes the application; it is given a function that returns whether the server is shutting down.
        announce: Called with the address when the port is open.
        closing_seconds: Time that open connections have to end.
        settings: Further settings of uvicorn.

    Raises:
        OptionError: The address cannot be used.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise OptionError(f"cannot listen on {host}:{port} ({error.strerror}): give another --port or --host") from None
    with listener:
        app = make_app(lambda: server.should_exit)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=closing_seconds,
            limit_concurrency=_MOST_CONNECTIONS,
            **settings,
        )
        server = _Server(config)
        shown = f"[{host}]" if ":" in host else host
        announce(f"http://{shown}:{listener.getsockname()[1]}")
        server.run(sockets=[listener])
