"""`talkinghead download`: licence first, then the files, from a hub on this machine."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from liveportrait import hub, weights
from talkinghead import cli

CONTENT = {"a.pth": b"first" * 1000, "b.pth": b"second" * 1000}
FILES = tuple(
    hub.HubFile(f"liveportrait/base_models/{name}", hashlib.sha256(data).hexdigest(), len(data))
    for name, data in CONTENT.items()
)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        data = CONTENT[self.path.rsplit("/", 1)[-1]]
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    for name in ("HF_HUB_OFFLINE", "HF_HUB_CACHE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(weights, "RELEASES", {"base": FILES})
    monkeypatch.setattr(hub, "retry_seconds", lambda failures: 0.0)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def run(*arguments):
    try:
        cli.main(arguments)
    except SystemExit as left:
        return left.code
    return 0


def test_the_licence_is_shown_once_and_the_files_come(server, capsys):
    assert run("download", "base") == 0
    out, err = capsys.readouterr()
    folder = Path(out.removeprefix("base: complete in ").strip())
    assert [(folder / file.path).read_bytes() for file in FILES] == list(CONTENT.values())
    assert "MIT licence" in err and "non-commercial" in err and "Use portraits of people only with their consent" in err
    assert run("download", "base") == 0
    assert capsys.readouterr().err == ""


def test_without_the_network_it_is_one_line(server, monkeypatch, capsys):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert run("download", "base") == 1
    (last,) = capsys.readouterr().err.splitlines()
    assert last.startswith("talkinghead: cannot fetch http://127.0.0.1:9/") and "Check the network" in last
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert run("download", "base") == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert "HF_HUB_OFFLINE" in said


def test_what_there_is_not_to_download(capsys):
    assert run("download", "mini") == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert "nothing to download for 'mini': give base, animals or joyvasa" in said
