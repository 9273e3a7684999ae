"""Keep the page to itself: the browser may load nothing from elsewhere, and the server fetches nothing for anybody."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from fastapi.responses import PlainTextResponse

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; base-uri 'self'; "
    "frame-ancestors 'none'"
)
"""Gradio's page needs inline scripts; nothing of another host is loaded, whatever its code would like."""
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
_LOCAL_HOSTS = {"127.0.0.1", "localhost", "::1"}
_FETCHES = ("/gradio_api/file=http", "/gradio_api/proxy=", "/proxy=")
"""Paths with which Gradio's server fetches something from another one."""


class Guard:
    """Adds headers to every answer, and refuses requests that a page of another site may have made.

    Args:
        app: The application.
        local: Whether it is only meant for this computer, by whose names it is reached then.
    """

    def __init__(self, app: Any, *, local: bool) -> None:
        self._app, self._local = app, local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if (reason := self._refusal(scope["path"], headers)) is not None:
            await PlainTextResponse(reason, 403)(scope, receive, send)
            return

        async def sent(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        await self._app(scope, receive, sent)

    def _refusal(self, path: str, headers: dict[str, str]) -> str | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if self._local and _hostname(f"//{host}") not in _LOCAL_HOSTS:
            return f"the studio answers at 127.0.0.1 and localhost, not as {host!r}"
        if origin is not None and urlsplit(origin).netloc != host:
            return "requests from pages of other sites are refused"
        if path.startswith(_FETCHES):
            return "the studio fetches nothing from elsewhere"
        return None


def _hostname(netloc: str) -> str | None:
    try:
        return urlsplit(netloc).hostname
    except ValueError:
        return None
