"""The application: everything that a request reaches, and what it shares."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from talkinghead.models import Models, load_models
from talkinghead.options import ProvenanceOptions
from talkinghead.provenance.deny_list import DenyList
from talkinghead.server import avatar_socket, job_routes, webrtc
from talkinghead.server.avatars import Avatars
from talkinghead.server.guard import Guard
from talkinghead.server.jobs import JobQueue
from talkinghead.server.metrics import Metrics
from talkinghead.server.options import ServerOptions

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def create_app(
    options: ServerOptions | None = None,
    models: Models | None = None,
    is_closing: Callable[[], bool] = lambda: False,
    *,
    jobs: bool = True,
    provenance: ProvenanceOptions | None = None,
) -> FastAPI:
    """Return the application, for uvicorn or any other ASGI server.

    Args:
        options: Limits and the token.
        models: The networks; None to load the default ones at the start.
        is_closing: Whether the server is shutting down, so that streams of events end.
        jobs: Whether it makes videos too, which one process has to remember.
        provenance: How videos are marked; requests cannot change that.
    """
    options = options or ServerOptions()
    denied = DenyList.read(options.deny_list) if options.deny_list else DenyList()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with tempfile.TemporaryDirectory(prefix="talkinghead-", ignore_cleanup_errors=True) as name:
            state, folder = app.state, Path(name)  # the folder is private: mkdtemp gives it mode 700
            state.models = models or await asyncio.to_thread(load_models)
            state.jobs = JobQueue(folder / "jobs", options.max_waiting, options.keep_seconds, state.metrics)
            state.avatars = Avatars(folder / "portraits", state.models, options, state.metrics, denied)
            state.peers = set()
            yield
            state.avatars.close()
            for task in list(state.peers):
                task.cancel()
            await asyncio.gather(*state.peers, return_exceptions=True)
            await asyncio.to_thread(state.jobs.close)

    app = FastAPI(
        title="Talkinghead",
        version=version("talkinghead"),
        description="Videos of portraits that speak, and live avatars. Every video is marked as AI-generated.",
        docs_url=None,  # FastAPI's pages load their scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.options, app.state.metrics, app.state.is_closing = options, Metrics(), is_closing
    app.state.denied, app.state.provenance = denied, provenance or ProvenanceOptions()
    if jobs:
        app.include_router(job_routes.router)
    app.include_router(avatar_socket.router)
    app.include_router(webrtc.router)
    _add_pages(app)
    app.add_middleware(Guard, options=options)
    return app


def _add_pages(app: FastAPI) -> None:
    def page(name: str, content_type: str) -> Callable[[], Response]:
        content = (files("talkinghead") / "server" / "page" / name).read_text(encoding="utf-8")
        return lambda: Response(content, media_type=content_type, headers=_HEADERS)

    for path, name, content_type in (
        ("/", "index.html", "text/html"),
        ("/app.js", "app.js", "text/javascript"),
        ("/docs", "docs.html", "text/html"),
        ("/docs.js", "docs.js", "text/javascript"),
    ):
        app.add_api_route(path, page(name, content_type), include_in_schema=False, response_class=HTMLResponse)

    @app.get("/healthz", tags=["server"])
    def healthz() -> dict[str, str]:
        """Tell that the server works; needs no token."""
        return {"status": "ok"}

    @app.get("/metrics", tags=["server"], response_class=PlainTextResponse)
    def metrics(request: Request) -> Response:
        """Return figures for Prometheus."""
        return Response(generate_latest(request.app.state.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> JSONResponse:
        """Answer without a traceback; the server logs it."""
        return JSONResponse({"detail": "this is a fault of the server, which has logged it"}, 500)
