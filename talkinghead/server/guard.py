"""Refuse requests that are too large or too slow, lack the token, or come from a page of another site."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fastapi import HTTPException
from fastapi.responses import JSONResponse

from talkinghead.server.options import ServerOptions

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_OPEN_PATHS = {"/healthz", "/", "/app.js", "/docs", "/docs.js"}
"""What needs no token: pages, which get it from their address, and what tells whether the server works."""

_LOCAL_HOSTS = {"127.0.0.1", "localhost", "::1"}


class Guard:
    """Checks every request before the application sees it.

    Args:
        app: The application.
        options: The limits.
    """

    def __init__(self, app: Any, options: ServerOptions) -> None:
        self._app, self._options = app, options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with the reason why not."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is None:
            await self._app(scope, self._limited(receive) if scope["type"] == "http" else receive, send)
        elif scope["type"] == "http":
            status, reason = refusal
            await JSONResponse({"detail": reason}, status, {"Connection": "close"})(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refusal[1]})

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if self._options.is_local and _hostname(f"//{host}") not in _LOCAL_HOSTS:
            return 403, f"this server answers at 127.0.0.1 and localhost, not as {host!r}"
        if origin is not None and urlsplit(origin).netloc != host:
            return 403, "requests from pages of other sites are refused"
        if self._options.token and scope["path"] not in _OPEN_PATHS and not self._has_token(scope, headers):
            return 401, 'the token is missing or wrong: send it as "Authorization: Bearer TOKEN"'
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit():
            return 400, f"invalid Content-Length {length!r}"
        if int(length) > self._options.max_bytes:
            return 413, self._too_large()
        return None

    def _has_token(self, scope: Scope, headers: dict[str, str]) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":  # browsers cannot set headers of web sockets and event streams
            given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        return secrets.compare_digest(given.encode(), self._options.token.encode())

    def _limited(self, receive: Receive) -> Receive:
        """Count what arrives, whatever its stated length, and do not wait for it forever."""
        received, complete = 0, False

        async def limited() -> MutableMapping[str, Any]:
            nonlocal received, complete
            if complete:  # what comes now is the end of the connection
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), self._options.patience)
            except TimeoutError:
                raise HTTPException(408, f"nothing arrived for {self._options.patience:g} s") from None
            received += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if received > self._options.max_bytes:
                raise HTTPException(413, self._too_large())
            return message

        return limited

    def _too_large(self) -> str:
        return f"the request has more than {self._options.max_upload_mb:g} MB"


def _hostname(netloc: str) -> str | None:
    try:
        return urlsplit(netloc).hostname
    except ValueError:
        return None
