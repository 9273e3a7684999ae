"""Many jobs: files of them, workers that fail, workers that are killed."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from batch_workers import FakeWorker
from PIL import Image

from talkinghead import cli
from talkinghead.batch import runner
from talkinghead.batch.jobs import read_jobs
from talkinghead.batch.local import run_local
from talkinghead.errors import InputNotFoundError, OptionError
from talkinghead.media.video import read_frames


@pytest.fixture
def folder(tmp_path, monkeypatch):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)).save(tmp_path / "a.png")
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-0.3, 0.3, 8_000), 16_000)
    monkeypatch.setenv("MADE_WORKERS", str(tmp_path / "made.txt"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, sys.path)))
    return tmp_path


def write(folder, jobs, **more):
    (folder / "jobs.yaml").write_text(yaml.safe_dump({"jobs": jobs, **more}))
    return folder / "jobs.yaml"


def speak(name, **more):
    return {"image": "a.png", "audio": "a.wav", "output": f"{name}.mp4", **more}


SIX = [speak("a"), speak("b", seed=3), speak("broken", image="none.png"), speak("fragile"), speak("c"), speak("d")]


def check_six(folder, outcomes):
    outcomes = {Path(outcome.name).stem: outcome for outcome in outcomes}
    assert set(outcomes) == {"a", "b", "broken", "fragile", "c", "d"}
    assert "none.png: no such file" in outcomes.pop("broken").error
    assert not any(outcome.error for outcome in outcomes.values())
    assert [outcome.attempts for outcome in outcomes.values()].count(2) == 1 and outcomes["fragile"].attempts == 2
    assert all(len(list(read_frames(folder / f"{name}.mp4"))) == 13 for name in outcomes)
    assert not list(folder.glob(".*.part")) and not (folder / "broken.mp4").exists()


def test_one_broken_job_and_one_killed_worker_do_not_stop_the_rest(folder):
    check_six(folder, run_local(read_jobs(write(folder, SIX)), 2, FakeWorker))
    assert (folder / "made.txt").read_text().count("worker") == 3  # two, and one in place of the killed one


def test_a_job_that_kills_every_worker_is_given_up(folder):
    outcomes = list(run_local(read_jobs(write(folder, [speak("deadly"), speak("a")])), 1, FakeWorker))
    errors = {Path(outcome.name).stem: outcome.error for outcome in outcomes}
    assert "killed 2 times (exit code -9)" in errors["deadly"] and not errors["a"]


def test_on_ray(folder):
    ray = pytest.importorskip("ray")
    from talkinghead.batch.cluster import run_on_ray

    check_six(folder, run_on_ray(read_jobs(write(folder, SIX)), 2, "local", FakeWorker))
    assert not ray.is_initialized()


def test_without_ray(folder, monkeypatch):
    from talkinghead.batch.cluster import run_on_ray

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(OptionError, match=r"talkinghead\[ray\]"):
        list(run_on_ray(read_jobs(write(folder, SIX)), 2, "local", FakeWorker))


def test_wrong_settings_fail_when_their_turn_comes(folder):
    jobs = [speak("a", lip_strength=9), speak("b", colour="red"), speak("c", lip_strength="high"), speak("d")]
    errors = [outcome.error for outcome in map(FakeWorker().run, read_jobs(write(folder, jobs)))]
    assert "lip_strength is 9" in errors[0] and "no setting 'colour'" in errors[1]
    assert "lip_strength 'high' is not a number" in errors[2] and not errors[3]


def test_defaults_and_names(folder):
    jobs = read_jobs(
        write(
            folder,
            [
                {**speak("a"), "name": "first"},
                {"command": "narrate", "avatar": "a.png", "script": "s.md", "output": "n.mp4"},
            ],
            defaults={"seed": 7},
        )
    )
    assert [job.name for job in jobs] == ["first", str(folder / "n.mp4")]
    assert [job.options().motion.seed for job in jobs] == [7, 7]
    assert jobs[1].inputs == (folder / "a.png", folder / "s.md") and jobs[1].options().voice.voice == "heart"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jobs: []", "no list called jobs"),
        ("jobs: [", "no YAML can be read"),
        ("jobs: [7]", "job 1 must be a mapping"),
        ("jobs: [{command: sing}]", "job 1: command 'sing' is none of speak, reenact, narrate"),
        ("jobs: [{image: a.png, output: a.mp4}]", "job 1: speak needs image, audio, output; audio is missing"),
        ("jobs: [{image: a, audio: b, output: c}]\nworkers: 2", "and nothing else"),
        ("jobs: [{image: a, audio: b, output: c}, {image: d, audio: e, output: c}]", "two jobs write"),
    ],
)
def test_files_that_are_no_jobs(folder, text, message):
    (folder / "jobs.yaml").write_text(text)
    with pytest.raises(OptionError, match=message):
        read_jobs(folder / "jobs.yaml")


def test_the_command_reports_every_job(folder, monkeypatch, capsys):
    monkeypatch.setattr(runner, "run_local", lambda jobs, _: map(FakeWorker().run, jobs))
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)
    jobs = write(folder, [speak("a"), speak("broken", image="none.png")])
    with pytest.raises(SystemExit) as left:
        cli.main(["batch", str(jobs), "--workers", "2"])
    said = capsys.readouterr()
    assert left.value.code == 1 and "a.mp4: 13 frames in" in said.out
    assert "none.png: no such file" in said.err and "1 of 2 jobs failed" in said.err
    (folder / "a.mp4").unlink()
    cli.main(["batch", str(write(folder, [speak("a")])), "--json"])
    assert json.loads(capsys.readouterr().out)["frames"] == 13
    with pytest.raises(SystemExit):
        cli.main(["batch", str(folder / "none.yaml")])
    assert "no such file of jobs" in capsys.readouterr().err


def test_ctrl_c_says_what_is_there(folder, monkeypatch, capsys):
    def interrupted(jobs, _):
        yield FakeWorker().run(jobs[0])
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run_local", interrupted)
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as left:
        cli.main(["batch", str(write(folder, [speak("a"), speak("b")]))])
    assert left.value.code == 130 and "1 of 2 videos are there" in capsys.readouterr().err


def test_a_file_that_is_not_there(folder):
    with pytest.raises(InputNotFoundError):
        read_jobs(folder / "none.yaml")
