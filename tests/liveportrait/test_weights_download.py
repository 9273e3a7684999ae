"""Fetching official weights from a hub that behaves, breaks off, lies, is gone or is forbidden."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from liveportrait import hub, weights
from liveportrait.errors import WeightsError, WeightsNotFoundError

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


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", server.url + "/")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    for name in ("HF_HUB_OFFLINE", "HF_HUB_CACHE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(weights, "RELEASES", {"base": FILES})
    monkeypatch.setattr(hub, "retry_seconds", lambda failures: 0.0)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def check_complete(folder: Path) -> None:
    for file in FILES:
        assert (folder / file.path).read_bytes() == CONTENT[Path(file.path).name]
    assert not list(folder.rglob("*.part"))


def test_files_are_fetched_once_into_hf_home(server: Hub, tmp_path: Path):
    notices: list[str] = []
    seen: list[tuple[str, int, int]] = []
    folder = weights.download("base", notices.append, lambda *step: seen.append(step))
    check_complete(folder)
    assert folder.is_relative_to(tmp_path / "cache")
    assert server.requests[0][0] == f"/{weights.REPOSITORY}/resolve/{weights.REVISION}/{FILES[0].path}"
    assert seen[-1] == (FILES[1].path, FILES[1].size, FILES[1].size)
    assert len(notices) == 1
    asked = len(server.requests)
    assert weights.download("base", notices.append) == folder
    assert (len(server.requests), len(notices)) == (asked, 1)


def test_the_notice_comes_first_and_names_licence_size_and_place(server: Hub, tmp_path: Path):
    def refuse(notice: str) -> None:
        assert len(server.requests) == 1  # the hub is there; nothing of it was kept
        assert "MIT licence" in notice
        assert "non-commercial" in notice
        assert weights.REVISION in notice
        assert re.search(r"0 MB in 2 files", notice)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        weights.download("base", refuse)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_an_interrupted_transfer_goes_on_where_it_stopped(server: Hub):
    server.plan = ["cut", "cut", "cut"]
    check_complete(weights.download("base", print))
    ranges = [wanted for path, wanted in server.requests if path.endswith("a.pth")]
    assert ranges[0] is None
    starts = [int(re.findall(r"\d+", wanted)[0]) for wanted in ranges[1:]]
    assert starts == sorted(set(starts))
    assert starts[0] == FILES[0].size // 2


def test_a_later_run_goes_on_where_an_earlier_one_gave_up(server: Hub):
    server.plan = ["cut", *["503"] * 5]
    with pytest.raises(WeightsNotFoundError, match=r"503.*are kept, run it again"):
        weights.download("base", print)
    server.requests.clear()
    check_complete(weights.download("base", print))
    assert server.requests[0][1] == f"bytes={FILES[0].size // 2}-"


def test_a_server_without_ranges_starts_over(server: Hub):
    server.plan = ["cut", "no-range"]
    check_complete(weights.download("base", print))


def test_a_server_that_says_no_length(server: Hub):
    server.plan = ["no-length", "no-length"]
    check_complete(weights.download("base", print))


def test_a_complete_part_is_only_checked(server: Hub):
    folder = hub.folder(weights.REPOSITORY, weights.REVISION)
    part = folder / (FILES[0].path + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT["a.pth"])
    check_complete(weights.download("base", print))
    assert not part.exists()


def test_passing_trouble_and_redirects_are_survived(server: Hub):
    server.plan = ["503", "429", "redirect"]
    check_complete(weights.download("base", print))


@pytest.mark.parametrize("change", [lambda data: data[:-1] + b"?", lambda data: data + b"?"])
def test_another_file_than_the_pinned_one_is_thrown_away(server: Hub, change):
    server.content["a.pth"] = change(CONTENT["a.pth"])
    with pytest.raises(WeightsError, match=r"a\.pth.*(pinned|expected)"):
        weights.download("base", print)
    folder = hub.folder(weights.REPOSITORY, weights.REVISION)
    assert not [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_a_file_the_hub_does_not_have(server: Hub):
    del server.content["b.pth"]
    with pytest.raises(WeightsNotFoundError, match=r"b\.pth.*404"):
        weights.download("base", print)


def test_a_hub_that_is_gone(server: Hub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    notices: list[str] = []
    with pytest.raises(WeightsNotFoundError, match=r"127\.0\.0\.1:9.*HF_ENDPOINT"):
        weights.download("base", notices.append)
    assert not notices


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HF_ENDPOINT", "file:///etc"),
        ("HF_ENDPOINT", "hub"),
        ("HF_ENDPOINT", "http://[::1"),
        ("HF_ENDPOINT", "http://host:port"),
        ("http_proxy", "http://127.0.0.1:9"),
        ("http_proxy", "junk://:-1"),
    ],
)
def test_addresses_and_proxies_that_are_none(server: Hub, monkeypatch: pytest.MonkeyPatch, variable: str, value: str):
    if variable == "http_proxy":
        monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    monkeypatch.setenv(variable, value)
    with pytest.raises(WeightsNotFoundError):
        weights.download("base", print)


def test_a_server_that_sends_without_end(server: Hub, monkeypatch: pytest.MonkeyPatch):
    server.content["a.pth"] = CONTENT["a.pth"] * 100
    server.plan = ["no-length"]
    with pytest.raises(WeightsError, match="another file than the pinned one"):
        weights.download("base", print)


def test_a_folder_that_keeps_nothing(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / ("x" * 300)):
        monkeypatch.setenv("HF_HOME", str(place))
        with pytest.raises(WeightsError, match=r"cannot be kept there.*set HF_HOME"):
            weights.download("base", print)


def test_a_full_disk_is_no_fault_of_the_network(server: Hub, monkeypatch: pytest.MonkeyPatch):
    folder = hub.folder(weights.REPOSITORY, weights.REVISION)
    part = folder / (FILES[0].path + ".part")
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    with pytest.raises(WeightsError, match="No space left"):
        weights.download("base", print)


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch):
    def homeless(_: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("HF_HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "expanduser", homeless)
    with pytest.raises(WeightsNotFoundError, match="set HF_HOME"):
        weights.download("base", print)


def test_offline_mode_asks_nobody(server: Hub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    notices: list[str] = []
    with pytest.raises(WeightsNotFoundError, match=r"a\.pth.*HF_HUB_OFFLINE"):
        weights.download("base", notices.append)
    assert not server.requests
    assert not notices


def test_offline_mode_uses_what_is_there(server: Hub, monkeypatch: pytest.MonkeyPatch):
    folder = weights.download("base", print)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert weights.download("base", print) == folder


def test_a_file_damaged_on_disk_is_named(server: Hub):
    path = weights.download("base", print) / FILES[1].path
    path.write_bytes(b"damaged")
    with pytest.raises(WeightsError, match=r"b\.pth: SHA-256 is .* expected"):
        weights.download("base", print)


def test_files_of_the_hubs_own_client_are_taken_over(server: Hub, tmp_path: Path):
    name = weights.REPOSITORY.replace("/", "--")
    theirs = tmp_path / "cache" / "hub" / f"models--{name}" / "snapshots" / weights.REVISION / FILES[0].path
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(CONTENT["a.pth"])
    check_complete(weights.download("base", print))
    assert [path for path, _ in server.requests if path.endswith("a.pth")] == []


def test_unknown_names():
    with pytest.raises(WeightsNotFoundError, match="'mini'"):
        weights.download("mini", print)


def test_without_hf_home_the_users_cache_folder_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("HF_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert hub.home() == tmp_path / "huggingface"
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert hub.endpoint() == "https://huggingface.co"


def test_waiting_grows_and_stays_bounded():
    waits = [hub.retry_seconds(failures) for failures in range(8)]
    assert waits[0] == 0
    assert waits == sorted(waits)
    assert waits[-1] <= 10
