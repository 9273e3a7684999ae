"""Fetching official weights from a hub that behaves, breaks off, lies, is gone or is forbidden."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_hub import CONTENT, FILES, Hub, local_hub

from liveportrait import hub, weights
from liveportrait.errors import WeightsError, WeightsNotFoundError


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with local_hub(tmp_path / "cache", monkeypatch) as server:
        yield server


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


def test_landmarks_lie_where_base_finds_them(server: Hub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(weights, "LANDMARKS", FILES[1])
    notices: list[str] = []
    folder = weights.download("landmarks", notices.append)
    assert (folder / FILES[1].path).is_file() and "MIT licence" in notices[0]
    assert weights.download("base", print) == folder


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


def test_a_hub_that_knows_the_former_name_only(server: Hub):
    server.plan = ["404", "", "401", ""]
    check_complete(weights.download("base", print))
    names = [path.split("/resolve/")[0].strip("/") for path, _ in server.requests]
    assert names == [weights.REPOSITORY, weights.FORMER_REPOSITORY] * 2


def test_files_under_the_former_name_are_used(server: Hub, tmp_path: Path):
    folder = hub.folder(weights.FORMER_REPOSITORY, weights.REVISION)
    for file in FILES:
        (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
        (folder / file.path).write_bytes(CONTENT[Path(file.path).name])
    assert weights.download("base", print) == folder and not server.requests


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
