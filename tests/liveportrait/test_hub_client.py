"""What `huggingface_hub` does not do, which is why `liveportrait.hub` exists; if a test fails, that may change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import constants, file_download, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError
from local_hub import CONTENT, FILES, Hub, local_hub

from liveportrait import weights


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)
    monkeypatch.setattr(file_download, "time", SimpleNamespace(sleep=lambda seconds: None))
    with local_hub(tmp_path / "ours", monkeypatch) as server:
        yield server


def download(server: Hub, cache: Path) -> bytes:
    path, commit, address = FILES[0].path, weights.REVISION, server.url
    return Path(
        hf_hub_download(weights.REPOSITORY, path, revision=commit, endpoint=address, cache_dir=cache, token=False)
    ).read_bytes()


def test_it_fetches_a_file_from_a_hub_that_behaves(server: Hub, tmp_path: Path):
    assert download(server, tmp_path / "theirs") == CONTENT["a.pth"]


def test_it_takes_another_file_of_the_same_length(server: Hub, tmp_path: Path):
    """It compares the length alone, although the hub has stated the SHA-256."""
    server.content["a.pth"] = CONTENT["a.pth"][::-1]
    assert download(server, tmp_path / "theirs") == CONTENT["a.pth"][::-1]


def test_a_later_run_begins_again_from_nothing(server: Hub, tmp_path: Path):
    """Within a run it resumes; what it has when it gives up is removed, which may be most of 400 MB."""
    server.plan = ["cut", "503"]
    with pytest.raises(HfHubHTTPError):
        download(server, tmp_path / "theirs")
    assert [wanted is not None for _, wanted in server.requests] == [False, True]
    assert not list((tmp_path / "theirs").rglob("*.incomplete"))
    server.requests.clear()
    assert download(server, tmp_path / "theirs") == CONTENT["a.pth"]
    assert [wanted for _, wanted in server.requests] == [None]
