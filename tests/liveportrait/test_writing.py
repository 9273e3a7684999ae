"""Files are written whole, under names that nobody can foresee, and replace nothing unasked."""

import errno
import os
import subprocess
import sys

import pytest
import safetensors.torch
import torch
from safetensors import SafetensorError

from liveportrait import writing
from liveportrait.writing import (
    create_beside,
    is_replaceable,
    new_file,
    partial_name,
    remove_leftovers,
    save_tensors,
)


def write(file, text="new", **options):
    with new_file(file, **options) as partial:
        partial.write_text(text)
    return file.read_text()


def test_a_file_appears_when_it_is_complete(tmp_path):
    with new_file(tmp_path / "a.txt") as partial:
        partial.write_text("new")
        assert partial.parent == tmp_path and os.listdir(tmp_path) == [partial.name]
    assert os.listdir(tmp_path) == ["a.txt"]
    with pytest.raises(KeyboardInterrupt), new_file(tmp_path / "b.txt"):
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("links", [True, False])
def test_the_second_of_two_that_write_the_same_file_is_refused(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, "no links")))
    file = tmp_path / "a.txt"
    with pytest.raises(FileExistsError), new_file(file) as second:
        assert write(file, "first") == "first"
        second.write_text("second")
    assert file.read_text() == "first" and os.listdir(tmp_path) == ["a.txt"]
    assert write(file, "third", replace=True) == "third"


def test_links_that_lie_in_wait_are_not_followed(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "partial_name", lambda file: ".known.part")
    (tmp_path / "precious").write_text("mine")
    (tmp_path / ".known.part").symlink_to("precious")
    with pytest.raises(FileExistsError), new_file(tmp_path / "a.txt"):
        pass
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_link_to_nowhere_is_a_name_that_is_taken(tmp_path):
    (tmp_path / "a.txt").symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        write(tmp_path / "a.txt")
    assert (tmp_path / "a.txt").is_symlink()


def test_pipes_devices_folders_and_protected_files_are_never_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    (tmp_path / "folder").mkdir()
    (tmp_path / "protected").write_text("mine")
    (tmp_path / "protected").chmod(0o444)
    for name in ("pipe", "null", "folder", "protected"):
        assert not is_replaceable(tmp_path / name)
        with pytest.raises(FileExistsError), new_file(tmp_path / name, replace=True):
            pass
    assert sorted(os.listdir(tmp_path)) == ["folder", "null", "pipe", "protected"]


def test_names_at_the_limit_are_written(tmp_path):
    for name in ("b" * 255, "ü" * 127, os.fsdecode(b"\xff odd \n name")):
        assert write(tmp_path / name) == "new"
        assert partial_name(tmp_path / name).isprintable()


KILLED = """
import os, pathlib, signal, sys
from liveportrait.writing import create_beside
create_beside(pathlib.Path(sys.argv[1]))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/ns/pid"), reason="has no numbers of processes to look up")
def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path, monkeypatch):
    file = tmp_path / "a b.mp4"
    running, other = create_beside(file), create_beside(tmp_path / "other.mp4")
    monkeypatch.setattr(writing, "_system", lambda: "0" * 8)
    elsewhere = create_beside(file)
    monkeypatch.undo()
    mine = tmp_path / ".a_b.part"
    mine.write_text("mine")
    assert subprocess.run([sys.executable, "-c", KILLED, file], check=False).returncode == -9
    (left,) = set(tmp_path.iterdir()) - {running, other, elsewhere, mine}
    elsewhere.rename(elsewhere.with_name(left.name.replace(writing._system(), "0" * 8)))
    remove_leftovers(tmp_path / "other.mp4")
    assert left.exists()
    remove_leftovers(file)
    assert not left.exists() and len(list(tmp_path.iterdir())) == 4
    monkeypatch.setattr(writing, "_system", lambda: None)
    remove_leftovers(file)  # where processes cannot be told apart


def test_processes_of_other_users_are_running(monkeypatch):
    monkeypatch.setattr(os, "kill", lambda *_: (_ for _ in ()).throw(PermissionError()))
    assert writing._is_running(1)


def test_a_full_disk_is_an_error_of_the_system(tmp_path, monkeypatch):
    def full(*_):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(OSError, match="No space") as caught:
        save_tensors({"a": torch.zeros(4)}, tmp_path / "a.safetensors")
    assert caught.value.errno == errno.ENOSPC and not os.listdir(tmp_path)
