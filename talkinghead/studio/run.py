"""Run the studio in this process until Ctrl-C or SIGTERM."""

from __future__ import annotations

import os
import secrets
import tempfile
import threading
import webbrowser
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import talkinghead
from talkinghead.host.web import serve_until_signal
from talkinghead.studio.options import StudioOptions

_CLOSING_SECONDS = 1
"""Time that open connections have to end; every open page holds one."""


def serve(options: StudioOptions, announce: Callable[[str], None]) -> None:
    """Serve the page until a signal; all uploads and results are removed at the end.

    Args:
        options: Where to listen, and whether to open the browser.
        announce: Called with the address when the port is open.

    Raises:
        OptionError: The address cannot be used.
    """

    def opened(address: str) -> None:
        announce(address)
        if options.browser:
            threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()

    with tempfile.TemporaryDirectory(prefix="talkinghead-", ignore_cleanup_errors=True) as name:
        folder = Path(name)  # private: mkdtemp gives it mode 700
        serve_until_signal(options.host, options.port, lambda _: create_app(options, folder), opened, _CLOSING_SECONDS)


def create_app(options: StudioOptions, folder: Path, models: talkinghead.Models | None = None) -> object:
    """Return the application.

    Args:
        options: Who may use it, and who may not be animated.
        folder: A private folder for everything that is uploaded and made.
        models: The networks; None to load those that are asked for, the default ones at the start.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(folder / "uploads")  # read when components are made
    import gradio as gr
    from fastapi import FastAPI

    from talkinghead.provenance.deny_list import DenyList
    from talkinghead.studio.app import THEME, build, style
    from talkinghead.studio.examples import ASSETS
    from talkinghead.studio.guard import Guard
    from talkinghead.studio.studio import Studio

    studio = Studio(folder, models, DenyList.read(options.deny_list) if options.deny_list else None)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        threading.Thread(target=studio.models, daemon=True).start()
        yield
        studio.close()

    def may_enter(_: str, password: str) -> bool:
        return secrets.compare_digest(password.encode(), options.token.encode())

    page = build(studio)
    app = gr.mount_gradio_app(
        FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None),
        page,
        "/",
        footer_links=[],
        run_history=False,
        auth=may_enter if options.token else None,
        allowed_paths=[str(folder), str(ASSETS)],
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=THEME,
        css=style(),
    )
    page.has_launched = True  # else Gradio does not check which files it may read
    return Guard(app, local=options.is_local)
