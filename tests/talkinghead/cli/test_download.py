"""`talkinghead download`: licence first, then the files, from a hub on this machine."""

from pathlib import Path

import pytest
from command_line import run
from local_hub import CONTENT, FILES, local_hub


@pytest.fixture
def server(tmp_path, monkeypatch):
    with local_hub(tmp_path / "cache", monkeypatch) as server:
        yield server


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
    assert "nothing to download for 'mini': give base, animals, landmarks or joyvasa" in said
