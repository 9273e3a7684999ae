"""Runs of the studio: one after the other, with progress, and nothing stays of one that was cancelled."""

import threading
import time
from pathlib import Path

import pytest
from fake_models import fake_models

import talkinghead
from talkinghead import Options, Summary
from talkinghead.studio.call import Call
from talkinghead.studio.runs import Runs, without_folders

CALL = Call("speak", (Path("p.png"), Path("v.wav")), Options())


class Slow:
    """Stands in for `talkinghead.speak`: writes a frame whenever it is let."""

    def __init__(self):
        self.let, self.begun = threading.Semaphore(0), threading.Event()

    def __call__(self, *inputs, options, model, progress):
        output = inputs[-1]
        output.with_name("partial").write_text("x")
        self.begun.set()
        for _ in progress(range(4), 4, "Rendering"):
            assert self.let.acquire(timeout=10)
        output.write_text("made")
        return Summary(output, 4, 1.0, 25, 2, 2, 1.0)


@pytest.fixture
def slow(monkeypatch):
    stand_in = Slow()
    monkeypatch.setattr(talkinghead, "speak", stand_in, raising=False)
    return stand_in


@pytest.fixture
def runs(tmp_path):
    made = Runs(tmp_path / "studio" / "runs", lambda _: fake_models())
    yield made
    made.close()


def start(runs, page="page", calls=(CALL,)):
    return runs.start(page, calls, runs.new_folder(page))


def test_a_run_counts_and_tells_the_time_left(runs, slow):
    run = start(runs)
    assert slow.begun.wait(10)
    slow.let.release(2)
    while run.done < 2:
        time.sleep(0.01)
    assert (run.stage, run.total) == ("Rendering", 4) and run.seconds_left > 0
    slow.let.release(2)
    assert run.finished.wait(10)
    (outcome,) = run.outcomes
    assert outcome.summary.file.read_text() == "made" and outcome.error is None


def test_nothing_stays_of_a_cancelled_run(runs, slow):
    run = start(runs)
    assert slow.begun.wait(10)
    runs.cancel(run)
    slow.let.release(4)
    assert run.finished.wait(10)
    assert not run.folder.exists() and not run.outcomes


def test_a_run_that_waits_can_be_cancelled(runs, slow):
    first, second = start(runs, "one"), start(runs, "two")
    assert slow.begun.wait(10)
    assert runs.waiting_before(second) == 1
    runs.cancel(second)
    assert second.finished.wait(10) and not second.folder.exists()
    slow.let.release(4)
    assert first.finished.wait(10) and first.outcomes[0].summary


def test_pages_do_not_touch_each_other(runs, slow, tmp_path):
    first, second = start(runs, "one"), start(runs, "two")
    assert slow.begun.wait(10)
    slow.let.release(8)
    assert first.finished.wait(10) and second.finished.wait(10)
    runs.close_page("one")
    assert not first.folder.exists() and second.outcomes[0].summary.file.exists()
    runs.close_page("two")
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


def test_a_job_that_fails_does_not_stop_the_others(runs, monkeypatch):
    def speak(*inputs, **_):
        if inputs[0].name == "bad.png":
            raise talkinghead.ImageError(f"{inputs[0]}: not a picture")
        inputs[-1].write_text("made")
        return Summary(inputs[-1], 1, 1.0, 25, 2, 2, 1.0)

    monkeypatch.setattr(talkinghead, "speak", speak, raising=False)
    upload = runs.new_folder("page").parents[2] / "uploads" / "0a1b" / "bad.png"
    run = start(runs, calls=[Call("speak", (upload, Path("v.wav")), Options()), CALL])
    assert run.finished.wait(10)
    assert [outcome.error for outcome in run.outcomes] == ["bad.png: not a picture", None]


def test_a_fault_is_one_line(runs, monkeypatch, caplog):
    monkeypatch.setattr(talkinghead, "speak", lambda *_, **__: 1 / 0, raising=False)
    run = start(runs)
    assert run.finished.wait(10)
    assert "fault of the program" in run.outcomes[0].error and "ZeroDivisionError" in caplog.text


def test_a_page_cannot_name_another_folder(runs, tmp_path):
    assert runs.new_folder("../../..").is_relative_to(tmp_path / "studio" / "runs")


def test_messages_name_files_as_the_user_does(tmp_path):
    said = f"{tmp_path}/uploads/0af3/my picture.png: no face found"
    assert without_folders(said, tmp_path) == "my picture.png: no face found"
