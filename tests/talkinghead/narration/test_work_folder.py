"""The folder of finished parts: nothing but its own is trusted or deleted, and nothing in it blocks the next run."""

import errno
import json
import os
import shutil

import pytest

from liveportrait import writing
from talkinghead import ProvenanceOptions, RenderOptions
from talkinghead.errors import AudioError, OutputError, OutputExistsError
from talkinghead.narration.errors import WorkFolderError
from talkinghead.narration.narrate import narrate
from talkinghead.narration.options import NarrationOptions, WorkOptions
from talkinghead.narration.work import WorkFolder

TEXT = "Hello. It is me.\n"
OVERWRITE = RenderOptions(overwrite=True)


@pytest.fixture
def make(tmp_path, hum, models, source):
    """Narrate a text and return the bytes of the video."""

    def make(text=TEXT, name="out.mp4", **parts):
        script = tmp_path / "script.md"
        script.write_text(text)
        unsigned = ProvenanceOptions(c2pa=False)  # no two signatures have the same bytes
        options = NarrationOptions(**{"render": OVERWRITE, "provenance": unsigned, **parts})
        narrate(source, script, tmp_path / name, options=options, model=models)
        return (tmp_path / name).read_bytes()

    return make


@pytest.fixture
def work(tmp_path):
    return tmp_path / "out.mp4.work"


def parts(work, suffix):
    return sorted(work.glob(f"*{suffix}"))


def test_outputs_and_inputs_stay_out_of_it(tmp_path, make, source):
    for folder, name in ((tmp_path, "out.mp4"), (tmp_path / "w", "w/../w/out.mp4")):
        folder.mkdir(exist_ok=True)
        before = set(tmp_path.rglob("*")) | {tmp_path / "script.md"}
        with pytest.raises(WorkFolderError, match="lies there and is no part"):
            make(name=name, work=WorkOptions(str(folder)))
        assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", ["file", "folder", "link", "pipe"])
def test_what_a_user_put_there_is_kept(tmp_path, work, make, kind):
    make()
    (tmp_path / "notes.txt").write_text("mine")
    made = {"file": lambda path: path.write_text("mine"), "folder": os.mkdir, "pipe": os.mkfifo}
    made["link"] = lambda path: path.symlink_to(tmp_path / "notes.txt")
    name = f"{'0' * 32}.mp4" if kind != "file" else "notes.txt"  # names of parts, but for the file
    made[kind](work / name)
    with pytest.raises(WorkFolderError, match=rf"has other files than a narration's parts \({name}\)"):
        make("Something else.")
    assert os.path.lexists(work / name) and (tmp_path / "notes.txt").read_text() == "mine"


def test_only_names_of_parts_are_ever_deleted(tmp_path, work, make):
    make()
    (tmp_path / "notes.txt").write_text("mine")
    lost = work / f"{'0' * 32}.mp4"
    lost.write_text("recorded by nobody")
    with (work / "work.json").open("a") as record:
        record.writelines(json.dumps({"made": name, "size": 4, "sha256": ""}) + "\n" for name in ("../notes.txt", 7))
        record.write("[]\n{\n")
    make("Something else.")
    assert (tmp_path / "notes.txt").read_text() == "mine" and lost.exists() and len(parts(work, ".mp4")) == 2


def empty(file):
    file.write_bytes(b"")


def cut(file):
    os.truncate(file, file.stat().st_size // 2)


def change(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("turn", range(3))
def test_spoilt_parts_are_made_again(work, make, turn):
    whole, spoils = make(), (empty, cut, change)
    sounds, clips = parts(work, ".wav"), parts(work, ".mp4")
    for number, file in enumerate((*sounds, *clips)):
        spoils[(number + turn) % 3](file)
    assert make() == whole


def test_parts_that_were_exchanged_or_lost_are_made_again(work, make):
    whole = make()
    first, second = parts(work, ".mp4")
    shutil.copy(second, first)
    parts(work, ".wav")[0].unlink()
    assert make() == whole


@pytest.mark.parametrize("left", ["", '{"talkinghead_narr', "\x00" * 40, None])
def test_a_record_that_is_lost_costs_the_parts_and_no_more(work, make, left):
    whole, about = make(), work / "work.json"
    about.unlink() if left is None else about.write_text(left)
    assert make() == whole


def test_a_line_that_was_not_completed_costs_one_part(work, make, models):
    whole = make()
    os.truncate(work / "work.json", (work / "work.json").stat().st_size - 20)
    assert make() == whole
    models.portrait.batches.clear()
    assert make() == whole and not models.portrait.batches  # the next line was not appended to it


def test_what_a_killed_run_left_is_removed(work, make):
    make()
    begun = parts(work, ".mp4")[0].stem
    left = [work / f".{begun}.{'0' * 16}.{suffix}" for suffix in ("part", "wav")]
    others = work / f".{'f' * 32}.{'0' * 16}.part"  # of a part that the record does not know
    for file in (*left, others):
        file.write_text("half")
    make()
    assert not any(file.exists() for file in left) and others.exists()


def test_a_refused_narration_leaves_nothing(tmp_path, work, make, hum, monkeypatch):
    def fail(*_):
        raise AudioError("no voice")

    monkeypatch.setattr(hum, "say", fail)
    before = set(tmp_path.iterdir()) | {tmp_path / "script.md"}
    given = tmp_path / "given"
    with pytest.raises(AudioError):
        make()
    assert set(tmp_path.iterdir()) == before
    given.mkdir()
    with pytest.raises(AudioError):
        make(work=WorkOptions(str(given)))
    assert not list(given.iterdir())
    with pytest.raises(WorkFolderError, match="too long"):
        make(work=WorkOptions(str(tmp_path / ("w" * 300))))


def test_a_foreign_record_gets_no_lock(tmp_path):
    (tmp_path / "work.json").write_text("mine")
    with pytest.raises(WorkFolderError, match="another version"), WorkFolder(tmp_path):
        pass
    assert os.listdir(tmp_path) == ["work.json"] and (tmp_path / "work.json").read_text() == "mine"


def test_a_full_disk_is_one_line_and_no_loss(tmp_path, work, make, monkeypatch):
    whole = make(name="whole.mp4")
    synced, count = os.fsync, []

    def full(descriptor):
        count.append(descriptor)
        if len(count) > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        synced(descriptor)

    with monkeypatch.context() as patch, pytest.raises(OutputError, match="the disk is full"):
        patch.setattr(writing.os, "fsync", full)
        make()
    assert not (tmp_path / "out.mp4").exists() and not list(work.glob(".*.part"))
    assert make() == whole


def test_a_file_that_came_meanwhile_is_kept(tmp_path, make, hum, monkeypatch):
    say, taken = hum.say, tmp_path / "out.vtt"
    monkeypatch.setattr(hum, "say", lambda text, file: (say(text, file), taken.write_text("theirs"))[0])
    with pytest.raises(OutputExistsError, match=r"out\.vtt: something of this name came"):
        make(render=RenderOptions())
    assert taken.read_text() == "theirs"
    assert not (tmp_path / "out.mp4").exists() and not (tmp_path / "out.srt").exists()
