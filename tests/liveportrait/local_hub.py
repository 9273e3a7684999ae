"""A hub of weights on this machine, which behaves, breaks off or lies as it is told."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from liveportrait import hub, weights

CONTENT = {name: bytes(range(256)) * 400 + name.encode() for name in ("a.pth", "b.pth")}
FILES = tuple(
    hub.HubFile(f"liveportrait/base_models/{name}", hashlib.sha256(data).hexdigest(), len(data))
    for name, data in CONTENT.items()
)


class Hub(ThreadingHTTPServer):
    """A hub on this machine; `plan` says what goes wrong with the next requests, one word each."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan: list[str] = []
        self.requests: list[tuple[str, str | None]] = []
        self.content = dict(CONTENT)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.server.requests.append((self.path, wanted))
        fault = self.server.plan.pop(0) if self.server.plan else ""
        data = self.server.content.get(self.path.rsplit("/", 1)[-1])
        if fault.isdigit() or data is None:
            return self.answer(int(fault or 404), b"")
        if fault == "redirect":
            return self.answer(302, b"", {"Location": f"{self.server.url}/cdn{self.path}"})
        start = int(re.findall(r"\d+", wanted)[0]) if wanted and fault != "no-range" else 0
        if start >= len(data):
            return self.answer(416, b"")
        status = 206 if start else 200
        if fault == "cut":
            return self.cut(status, data[start:])
        if fault == "no-length":
            return self.cut(status, data[start:], whole=True)
        return self.answer(status, data[start:])

    def do_HEAD(self):
        """Say what the hub's own client asks for first: the length, the commit and, as the ETag, the SHA-256."""
        name = self.path.rsplit("/", 1)[-1]
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.content[name])))
        self.send_header("ETag", f'"{hashlib.sha256(CONTENT[name]).hexdigest()}"')
        self.send_header("X-Repo-Commit", self.path.split("/resolve/")[1].split("/")[0])
        self.end_headers()

    def answer(self, status: int, body: bytes, headers: dict | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def cut(self, status: int, body: bytes, whole: bool = False) -> None:
        """Send half of what was promised, or all of it without a promise, and hang up."""
        self.send_response(status)
        if not whole:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body if whole else body[: len(body) // 2])
        self.close_connection = True


@contextmanager
def local_hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Serve the release "base" to this process, which keeps it in a folder."""
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", server.url + "/")
    monkeypatch.setenv("HF_HOME", str(cache))
    for name in ("HF_HUB_OFFLINE", "HF_HUB_CACHE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(weights, "RELEASES", {"base": FILES})
    monkeypatch.setattr(hub, "retry_seconds", lambda failures: 0.0)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
